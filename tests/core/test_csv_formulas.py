"""Text cells of CSV tables that a spreadsheet would run."""

import pandas as pd
import pyarrow as pa
import pytest

from hourglass.core.csv_formulas import (
    VARIABLE,
    escape_formulas,
    escape_requested,
    unescaped,
    write_csv,
)

FORMULAS = ["=1+1", "+A1", "-A1", "@SUM(1)", "\t=1", "\r=1", "+-1", "=-1", "-1e"]
HARMLESS = ["-1.5", "+3", "-1e-5", "-.5", "1-2", "a=b", "", None, "it's"]


@pytest.mark.parametrize("type_", [pa.string(), pa.large_string()])
def test_formulas_get_an_apostrophe_and_numbers_and_other_text_do_not(type_):
    result = escape_formulas(pa.array([*FORMULAS, *HARMLESS], type_))
    assert result.to_pylist() == [*("'" + text for text in FORMULAS), *HARMLESS]
    assert result.type == type_


def test_a_dictionary_is_escaped_and_numbers_stay():
    names = pa.array(["=a", "b", "=a"]).dictionary_encode()
    assert escape_formulas(names).to_pylist() == ["'=a", "b", "'=a"]
    numbers = pa.array([-1.5, None])
    assert escape_formulas(numbers) is numbers


@pytest.mark.parametrize("text", [*FORMULAS, *filter(None, HARMLESS), "'-1.5", "'quoted'"])
def test_readers_get_the_original_text(text):
    (escaped,) = escape_formulas(pa.array([text])).to_pylist()
    assert unescaped(escaped) == text


def test_a_frame_keeps_its_other_columns(tmp_path):
    frame = pd.DataFrame({"id": ["=a", None], "x": [-1.5, 2], "mixed": ["=a", 1]})
    write_csv(frame, tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text() == "id,x,mixed\n'=a,-1.5,=a\n,2.0,1\n"


def test_the_setting_keeps_formulas(monkeypatch, refusal):
    assert escape_requested()
    monkeypatch.setenv(VARIABLE, "keep")
    assert not escape_requested()
    monkeypatch.setenv(VARIABLE, "no")
    assert "escape or keep" in refusal(escape_requested)


def test_outputs_of_stages_do_not_depend_on_the_setting(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, "keep")
    write_csv(pd.DataFrame({"id": ["=a"]}), tmp_path / "table.csv")
    assert (tmp_path / "table.csv").read_text() == "id\n'=a\n"
