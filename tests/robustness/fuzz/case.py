"""A case: one input, the expected answer, and the end it comes to."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from hourglass.core.errors import UserError

End = Literal["refused", "right", "traceback", "wrong"]


@dataclass(frozen=True)
class Case:
    """One input: the call that reads it, and the right answer."""

    description: str
    read: Callable[[], Any]
    right: Any = None  # None: the input must be refused
    valid: bool = False  # the input must not be refused


def run_case(case: Case) -> tuple[End, str]:
    """Read the input of a case; return its end and the message."""
    try:
        answer = case.read()
    except UserError as error:
        said = str(error)
        one_sentence = said.endswith((".", "?")) and ". " not in said and "\n" not in said
        return ("refused" if one_sentence and not case.valid else "wrong"), said
    except Exception as error:  # any other exception is a fault
        return "traceback", f"{case.description}: {type(error).__name__}: {error}"
    if case.right is None or not _same(answer, case.right):
        return "wrong", f"{case.description}: {answer!r:.300} instead of {case.right!r:.300}"
    return "right", ""


def _same(answer: Any, right: Any) -> bool:
    if isinstance(right, np.ndarray):
        same_kind = isinstance(answer, np.ndarray) and answer.shape == right.shape
        return same_kind and bool(np.allclose(answer, right, rtol=1e-6, atol=0, equal_nan=True))
    return bool(answer == right)


def damage(valid: bytes, rng: random.Random) -> bytes:
    """Return bytes of which some were changed, cut off, removed, doubled or added."""
    content = bytearray(valid)
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(content) + 1)
        length = rng.choice([1, 1, 2, 4, 16])
        end, added = rng.choice(
            [
                (place + length, rng.randbytes(length)),
                (len(content), b""),
                (place + length, b""),
                (place, content[place : place + length]),
                (place, rng.choice([b"\x00", b"\xff", b"\n", rng.randbytes(length)])),
            ]
        )
        content[place:end] = added
    return bytes(content)
