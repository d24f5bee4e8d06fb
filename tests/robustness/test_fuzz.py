"""Malformed inputs end neither in a traceback nor in a wrong answer."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.robustness import fuzz
from tests.robustness.fuzz import idx, tables
from tests.robustness.fuzz.case import run_case

ACCEPTABLE = ("refused", "right")
KINDS = (
    *("idx", "CSV", "Parquet"),
    *("npz to train on", "npz to score", "images to train on", "images to score", "detector"),
    *("settings", "command line"),
)
LIGHT = settings(max_examples=50, derandomize=True, deadline=None)


@pytest.fixture(scope="module")
def makers(tmp_path_factory):
    """Give the functions that make cases, by kind, and enter a workspace."""
    folder = tmp_path_factory.mktemp("fuzz")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("HOURGLASS_DATA", "DVC_ROOT"):
            patch.delenv(name, raising=False)
        yield fuzz.enter_workspace(folder)


def test_every_kind_has_cases(makers):
    assert makers.keys() == {*KINDS}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore")  # of Pillow, for large images
def test_a_malformed_input_is_refused_or_answered_rightly(makers, kind):
    for number in range(4):
        end, message = fuzz.attempt(makers[kind], f"{kind} 0 {number}")
        assert end in ACCEPTABLE, f"{number}: {message}"


@given(st.binary(max_size=60), st.booleans())
@LIGHT
def test_arbitrary_bytes_are_an_idx_file_or_refused(tmp_path_factory, body, headed):
    content = (b"\0\0\x08\x02" if headed else b"") + body
    end, message = run_case(idx.case_of(content, tmp_path_factory.getbasetemp()))
    assert end in ACCEPTABLE, message


CELLS = (
    st.floats().map(repr) | st.text(max_size=4) | st.sampled_from(["", "1e999", "True", '"', "7"])
)


@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=4), st.sampled_from(",;\t"))
@LIGHT
def test_arbitrary_text_is_a_table_or_refused(tmp_path_factory, rows, separator):
    text = "\n".join(separator.join(row) for row in [tables.NAMES, *rows])
    path = tmp_path_factory.getbasetemp() / "table.csv"
    path.write_bytes(text.encode(errors="replace"))
    end, message = run_case(tables.case_of(path, tables.csv_reference(path)))
    assert end in ACCEPTABLE, message


@pytest.mark.slow
def test_none_of_a_thousand_malformed_inputs_ends_badly():
    ends = list(fuzz.run_cases(1000, seed=1))
    assert [case for case in ends if case[1] not in ACCEPTABLE] == []
    counts = Counter(end for _, end, _ in ends)
    assert {kind for kind, end, _ in ends if end == "refused"} == {*KINDS}
    assert counts["refused"] + counts["right"] == 1000
    assert counts["right"] > 100
