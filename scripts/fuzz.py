"""Try malformed files and command lines on every reader: no traceback, and no wrong answer.

    python scripts/fuzz.py --tries 1000

Prints a row a kind of input: tries, how many were refused in one sentence, answered rightly (as a
reference reader, or as what the file was made of, says), ended in a traceback, answered wrongly.
"""

from typing import Any


def rows(tries: int = 1000, seed: int = 0) -> list[dict[str, Any]]:
    """Try `tries` inputs in all, and return a row a kind of input.

    Columns: kind, tries, refused, right, tracebacks, wrong.
    """
    raise NotImplementedError
