"""Word what the readers of raw files have to refuse, in one sentence each."""

import difflib
from collections.abc import Iterable


def known_names(wanted: str, known: Iterable[str], most: int = 12) -> str:
    """Return the known name nearest to `wanted`, if one is near, and the first `most` of all."""
    names = sorted({str(name) for name in known})
    near = difflib.get_close_matches(wanted, names, n=1)
    hint = f"did you mean {near[0]!r}, of " if near else "there are "
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return hint + ", ".join(repr(name) for name in names[:most]) + rest
