"""Messages for settings of the wrong type: the key, the value, the types in words, and the fix."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from hourglass.core.type_errors import describe
from hourglass.core.yaml_config import resolve


@dataclass(frozen=True)
class Parts:
    train: float = 0.5


@dataclass
class Settings:
    names: list[str | int] | str | int | None = None
    column: str | None = None
    count: int = 1
    factor: float = 1.0
    switch: bool = False
    widths: Sequence[int] = ()
    switches: dict[str, bool] | None = None
    scaling: Literal["standard", "none"] = "none"
    parts: Parts = Parts()


NAMES = "text or a whole number or a list of text or whole numbers"


@pytest.mark.parametrize(
    ("value", "clause"),
    [
        ({"names": [False]}, f"names is [False], but must be {NAMES}; YAML reads no as false, so "),
        ({"names": [False]}, "so quote it: 'no'."),
        ({"names": True}, "YAML reads yes as true, so quote it: 'yes'."),
        ({"names": 1.5}, "quote it: '1.5'."),
        ({"column": 7}, "column is 7, but must be text; quote it: '7'."),
        ({"column": [7]}, "column is [7], but must be text."),
        ({"count": "x"}, "count is 'x', but must be a whole number."),
        ({"count": 1.5}, "count is 1.5, but must be a whole number."),
        ({"factor": "x"}, "factor is 'x', but must be a number."),
        ({"switch": "maybe"}, "switch is 'maybe', but must be true or false."),
        ({"widths": 8}, "widths is 8, but must be a list of whole numbers."),
        ({"widths": [8, "x"]}, "widths is [8, 'x'], but must be a list of whole numbers."),
        ({"switches": {"a": 3}}, "but must be a mapping of names to values (true or false)."),
        ({"scaling": "standrd"}, "one of standard, none (did you mean 'standard'?)."),
        ({"parts": 3}, "file.yaml, parts is 3, but must be a mapping of names to values."),
        ({"parts": {"train": "x"}}, "parts.train is 'x', but must be a number."),
    ],
    ids=str,
)
def test_a_value_of_the_wrong_type_is_described_in_words(refusal, value, clause):
    sentence = refusal(resolve, Settings, value, "file.yaml")
    assert sentence.startswith("file.yaml")
    assert clause in sentence


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (Path | None, "a path"),
        (list[Path], "a list of paths"),
        (tuple[float, ...], "a list of numbers"),
        (list, "a list"),
        (dict[str, Any], "a mapping of names to values"),
        (Sequence[Literal["a", "b"]], "a list of some of a, b"),
        (list[list[int]], "a list of lists of whole numbers"),
        (Parts, "Parts"),
    ],
)
def test_types_are_described_in_words(hint, words):
    assert describe(hint) == words
