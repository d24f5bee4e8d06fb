"""Parts of messages: the nearest available name, a rejected value, a number with its noun."""

import difflib
import heapq
import reprlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hourglass.core.errors import UserError

MAX_NAMES_SHOWN = 24  # in a hint; all variants
MAX_NAMES_COMPARED = 10_000  # with a misspelt name, which takes time per name
MAX_QUOTE_CHARACTERS = 40  # of a rejected value in a message
SHORT_REPR = reprlib.Repr()  # does not walk through long or deep values
KINDS = {"data": "data set", "model": "variant", "space": "search space"}  # of settings files
SHORT_REPR.maxstring = SHORT_REPR.maxother = MAX_QUOTE_CHARACTERS


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: "1 sample", "1,200 samples"; `plural` is `noun` + "s"."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def nearest_name(name: str, available: Iterable[str]) -> str | None:
    """Return the closest match to a misspelt name, ignoring case and hyphens; None without one."""
    names = {_normal(other): other for other in sorted(available)}
    close = difflib.get_close_matches(_normal(name), names, 1)
    return names[close[0]] if close else None


def did_you_mean(name: str, available: Iterable[str]) -> str:
    """Return the end of a sentence: the closest match to `name`, or else all available names."""
    names = list(available)
    near = nearest_name(name, names)
    return f"did you mean {near!r}?" if near else f"{suggest_names(name, names)}."


def suggest_names(name: str, available: Iterable[Any]) -> str:
    """Return a hint: the closest match to `name`, if any, and the available names."""
    names = {str(value) for value in available}
    near = nearest_name(name, names) if len(names) <= MAX_NAMES_COMPARED else None
    hint = f"did you mean {quote(near)}, " if near else ""
    rest = f" and {len(names) - MAX_NAMES_SHOWN} more" if len(names) > MAX_NAMES_SHOWN else ""
    shown = ", ".join(map(quote, heapq.nsmallest(MAX_NAMES_SHOWN, names)))
    return f"{hint}available: {shown or 'none'}{rest}"


def unknown_name(path: Path) -> UserError:
    """Return the error for a settings file that does not exist, with the nearest existing one."""
    if len(path.parts) < 3:
        return UserError(f"{path.as_posix()} is missing; run this in the project's folder.")
    kind = KINDS.get(path.parent.name, path.parent.name)
    available = [file.stem for file in path.parent.glob("*.yaml")]
    return UserError(
        f"unknown {kind} {path.stem!r}: {path.as_posix()} does not exist; "
        f"{did_you_mean(path.stem, available)}"
    )


def quote(value: Any) -> str:
    """Return a value for a message, cut to MAX_QUOTE_CHARACTERS and without full stops."""
    return SHORT_REPR.repr(value)[:MAX_QUOTE_CHARACTERS].replace(". ", " ")


def _normal(name: str) -> str:
    return name.casefold().replace("-", "_")
