"""Numbers as people read them; empty text and None stand for what there is not."""

from typing import TypeAlias

Number: TypeAlias = float | str | None
MISSING = "\N{EN DASH}"


def share(value: Number) -> str:
    """Return a share or an area to four places."""
    return MISSING if value in (None, "") else _minus(f"{float(value or 0):.4f}")


def end(value: Number) -> str:
    """Return an end of an interval, to three places: more would promise too much."""
    return MISSING if value in (None, "") else _minus(f"{float(value or 0):.3f}")


def score(value: Number) -> str:
    """Return a score or a threshold, of whatever size, to four figures."""
    return MISSING if value in (None, "") else _minus(f"{float(value or 0):.4g}")


def signed(value: Number) -> str:
    """Return a difference to four places, with its sign."""
    return MISSING if value in (None, "") else _minus(f"{float(value or 0):+.4f}")


def whole(value: Number) -> str:
    """Return a count, in groups of three."""
    return MISSING if value in (None, "") else f"{float(value or 0):,.0f}"


def _minus(text: str) -> str:
    """Return text with a minus as wide as a plus."""
    return text.replace("-", "\N{MINUS SIGN}") if "e" not in text else text
