"""Malformed inputs end in a correct result or one sentence, never in a traceback."""

import fuzz
import pytest
from fuzzing import commands
from fuzzing.cases import end
from fuzzing.idx import case_of
from fuzzing.tables import case_of_csv
from hypothesis import given, settings
from hypothesis import strategies as st
from workspace import enter

ACCEPTABLE = ("refused", "right")
KINDS = (
    *("idx", "CSV to train on", "CSV to score", "Parquet to train on", "Parquet to score"),
    *("npz to train on", "npz to score", "images to train on", "images to score", "detector"),
    *("settings", "command line"),
)
LIGHT = settings(max_examples=50, derandomize=True, deadline=None)


@pytest.fixture(scope="module")
def kinds(tmp_path_factory):
    """Give generators of every kind of input, in a workspace."""
    folder = tmp_path_factory.mktemp("fuzz")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("HOURGLASS_DATA", "DVC_ROOT"):
            patch.delenv(name, raising=False)
        enter(folder / "workspace")
        commands.workspace()
        yield fuzz.kinds(folder)


def test_every_kind_of_input_is_generated(kinds):
    assert kinds.keys() == {*KINDS}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore")  # of Pillow, about large images
def test_a_malformed_input_is_refused_or_read_correctly(kinds, kind, tmp_path):
    for number in range(4):
        how, words = fuzz.attempt(kinds[kind], kind, 0, number, tmp_path)
        assert how in ACCEPTABLE, f"{number}: {words}"


@given(st.binary(max_size=60), st.booleans())
@LIGHT
def test_arbitrary_bytes_are_an_idx_file_or_refused(tmp_path_factory, body, headed):
    folder = tmp_path_factory.getbasetemp()
    content = (b"\0\0\x08\x02" if headed else b"") + body
    how, words = end(case_of(content, folder))
    assert how in ACCEPTABLE, words


CELLS = (
    st.floats().map(repr) | st.text(max_size=4) | st.sampled_from(["", "1e999", "True", '"', "7"])
)


@pytest.mark.parametrize("new", [False, True])
@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), max_size=4), st.sampled_from(",;\t"))
@LIGHT
def test_arbitrary_text_is_a_table_or_refused(tmp_path_factory, new, rows, separator):
    text = "\n".join(separator.join(row) for row in [["a", "b", "c"], *rows])
    how, words = end(
        case_of_csv(text.encode(errors="replace"), tmp_path_factory.getbasetemp(), new)
    )
    assert how in ACCEPTABLE, words


@pytest.mark.slow
def test_none_of_a_thousand_malformed_inputs_ends_in_a_traceback_or_a_wrong_result():
    found = fuzz.rows(1000, seed=1)
    assert sum(row["tries"] for row in found) == 1000
    assert {row["kind"]: (row["tracebacks"], row["wrong"]) for row in found} == dict.fromkeys(
        KINDS, (0, 0)
    )
    assert all(row["refused"] for row in found)
    assert sum(row["right"] for row in found) > 100
