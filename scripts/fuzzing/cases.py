"""What a case is, and how it ends."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from hourglass.core.errors import UserError

End = Literal["refused", "right", "tracebacks", "wrong"]
Cases = Callable[[random.Random, Any], "Case"]  # of a kind: a case, its files in a folder


@dataclass(frozen=True)
class Case:
    """One input: what is asked about it, and what the answer must be, if it is not refused."""

    what: str  # how it was made
    ask: Callable[[], Any]
    right: Any = None  # None: it must be refused
    whole: bool = False  # nothing is wrong with it, so that it must be answered


def end(case: Case) -> tuple[End, str]:
    """Return how a case ends, and in which words."""
    try:
        found = case.ask()
    except UserError as refusal:
        said = str(refusal)
        fair = said.endswith((".", "?")) and ". " not in said and "\n" not in said
        return ("refused" if fair and not case.whole else "wrong"), said
    except Exception as error:  # whatever comes is what is looked for
        return "tracebacks", f"{type(error).__name__}: {error}"
    if case.right is None or not _same(found, case.right):
        return "wrong", f"{case.what}: {found!r:.300} where {case.right!r:.300} is right"
    return "right", ""


def _same(found: Any, right: Any) -> bool:
    if isinstance(right, np.ndarray):
        same_kind = isinstance(found, np.ndarray) and found.shape == right.shape
        return same_kind and bool(np.allclose(found, right, rtol=1e-6, atol=0, equal_nan=True))
    return bool(found == right)


def damaged(whole: bytes, rng: random.Random) -> bytes:
    """Return bytes of which some were changed, cut off, taken out, doubled or added."""
    content = bytearray(whole)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(content) + 1)
        length = rng.choice([1, 1, 2, 4, 16])
        how = rng.randrange(5)
        if how == 0:
            content[place : place + length] = rng.randbytes(length)
        elif how == 1:
            del content[place:]
        elif how == 2:
            del content[place : place + length]
        elif how == 3:
            content[place:place] = content[place : place + length]
        else:
            content[place:place] = rng.choice([b"\x00", b"\xff", b"\n", rng.randbytes(length)])
    return bytes(content)
