"""Command `add`: settings of the user's own files, the grid, and what it leaves unchanged."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from hourglass.cli.add import add
from hourglass.core.settings import data_config, params
from hourglass.core.yaml_config import build
from hourglass.data.base import DataSet, Raw
from hourglass.data.own_digests import _is_own

CASES = Path(__file__).parents[1] / "cases"
RNG = np.random.default_rng(0)


@pytest.fixture
def table(workspace) -> Path:
    """Write a table of 200 rows with columns of every kind next to the workspace."""
    rows = 200
    frame = pd.DataFrame(RNG.normal(size=(rows, 4)), columns=["flow", "temp", "speed", "load"])
    frame["on"] = RNG.random(rows) < 0.5
    frame["site"] = RNG.choice(["north", "south"], rows)
    frame["note"] = [f"row {i}" for i in range(rows)]
    frame["when"] = pd.date_range("2024-01-01", periods=rows, freq="h").astype(str)
    frame["count"] = np.arange(rows) * 3
    frame["unit"] = "bar"
    frame["price"] = ["1,234.5" if i == 7 else str(i % 10) for i in range(rows)]
    frame["empty"] = None
    frame["state"] = ["fault" if i % 10 == 0 else "ok" for i in range(rows)]
    frame.to_csv(workspace.parent / "pumps.csv")
    return workspace.parent / "pumps.csv"


def write(path: Path, frame: pd.DataFrame) -> Path:
    frame.to_csv(path, index=False)
    return path


def numbers(rows: int, **columns) -> pd.DataFrame:
    frame = pd.DataFrame(RNG.normal(size=(rows, 4)), columns=list("abcd"))
    return frame.assign(**columns)


def load(name: str) -> Raw:
    """Load a data set as `prepare` does."""
    config = data_config(name)
    section = {key: config[key] for key in ("class_path", "init_args")}
    raw: Raw = build(section, DataSet, name).load(Path("none"))
    return raw


def test_all_unusable_columns_are_listed_with_the_way_to_use_them(table):
    add("pumps", table, label="state")
    text = Path("configs/data/pumps.yaml").read_text(encoding="utf-8")
    dropped = yaml.safe_load(text)["init_args"]["drop"]
    unnamed, unusable = "Unnamed: 0", ["site", "note", "when", "count", "unit", "price", "empty"]
    assert {*dropped} == {unnamed, *unusable}
    lines = text.splitlines()
    for column, kind, found in [
        ("site", "Text: make one 0/1 column per value", "'north' "),
        ("note", "set `id` to it", "'row 0' in row 1"),
        ("when", "set `time` to it", "2024-01-01"),
        ("count", "Rises from row to row", ""),
        ("unit", "The same value in every row", "'bar'"),
        ("price", "correct them", "'1,234.5' in row 8"),
        ("empty", "fill them", "100% of the cells"),
    ]:
        place = next(i for i, line in enumerate(lines) if line.startswith(f"    - {column}"))
        assert found in lines[place]
        comments = [line for line in lines[:place] if line.startswith("    # ")]
        assert kind in comments[-1]


def test_the_settings_load_the_table(table):
    add("pumps", table, label="state", id="note")
    raw = load("pumps")
    assert raw.feature_names == ("flow", "temp", "speed", "load", "on")
    assert raw.anomaly.sum() == 20
    assert raw.id[7] == "row 7"


def test_a_table_outside_the_workspace_is_copied_to_where_changes_are_noticed(table):
    add("pumps", table, label="state")
    path = data_config("pumps")["init_args"]["path"]
    assert _is_own(path)
    assert Path(path).read_bytes() == table.read_bytes()


def test_a_file_in_data_own_is_used_where_it_is(workspace):
    folder = workspace / "data/own/plant"
    folder.mkdir(parents=True)
    write(folder / "mine.csv", numbers(200))
    add("pumps", folder / "mine.csv")
    assert data_config("pumps")["init_args"]["path"] == "data/own/plant/mine.csv"
    assert [path.name for path in Path("data/own").iterdir()] == ["plant"]


def test_other_data_sets_and_all_comments_stay(table):
    before = Path("params.yaml").read_text(encoding="utf-8")
    add("pumps", table)
    add("more", table)
    assert params().data == ["more", "pumps", "digits", "breast_cancer"]
    added = "  - more\n  - pumps\n"
    assert Path("params.yaml").read_text(encoding="utf-8").replace(added, "") == before


@pytest.mark.parametrize(
    ("labels", "normal", "expected"),
    [
        (["no", "yes"], "no", ["no"]),
        (["0.0", "1.0"], "0", ["0.0"]),
        (["1", "2"], None, ["1"]),
        (["True", "False"], "True", ["True"]),
        (["a", "b", "c"], "a, b", ["a", "b"]),
    ],
)
def test_normal_labels_are_text_as_in_the_file(workspace, labels, normal, expected):
    values = [labels[0]] * 180 + [labels[i % len(labels)] for i in range(20)]
    add("x", write(workspace / "x.csv", numbers(200, state=values)), label="state", normal=normal)
    assert data_config("x")["init_args"]["normal"] == expected
    assert load("x").anomaly.sum() == sum(value not in expected for value in values)


def test_a_name_that_yaml_reads_as_another_type_stays_a_name(table):
    add("no", table)
    assert params().data[0] == "no"


def test_names_with_line_breaks_and_signs_of_yaml_stay_names(workspace):
    names = ["a: b", "line\nbreak", "- c", "# d"]
    frame = (
        numbers(200).set_axis(names, axis=1).assign(**{"x\ny": ["p\nq", "# r"] * 100, "no": "z"})
    )
    add("x", write(workspace / "x\n.csv", frame), label="x\ny", normal="# r")
    assert data_config("x")["init_args"]["drop"] == ["no"]
    assert load("x").feature_names == tuple(names)


def test_a_data_set_is_replaced_only_on_request(table, refusal):
    add("pumps", table, label="state")
    assert "add --replace" in refusal(add, "pumps", table)
    assert "choose another name" in refusal(add, "Pumps", table)
    add("pumps", table, replace=True)
    assert "label" not in data_config("pumps")["init_args"]
    assert params().data == ["pumps", "digits", "breast_cancer"]


def test_other_data_of_the_same_name_are_not_overwritten(workspace, table, refusal):
    (workspace / "data/own").mkdir(parents=True)
    other = write(workspace / "data/own/pumps.csv", numbers(100))
    before = other.read_bytes()
    assert "data/own/pumps.csv exists" in refusal(add, "pumps", table)
    assert other.read_bytes() == before


def test_nothing_is_written_if_the_last_file_fails(table, monkeypatch):
    from hourglass.cli import add as module

    def fail_for_params(path, text):
        if path.name == "params.yaml":
            raise OSError("disk")
        path.write_text(text)

    monkeypatch.setattr(module, "write_text", fail_for_params)
    before = {path for path in Path().rglob("*") if path.is_file()}
    with pytest.raises(OSError, match="disk"):
        add("pumps", table)
    assert {path for path in Path().rglob("*") if path.is_file()} == before


def test_rows_with_empty_cells_are_left_out_if_that_costs_less_than_a_column(workspace):
    frame = numbers(200)
    frame.loc[:9, "a"] = None  # 5 % of the rows, for a quarter of the features
    frame.loc[50:129, "b"] = None  # 40 %
    add("x", write(workspace / "x.csv", frame))
    settings = data_config("x")["init_args"]
    assert settings["missing"] == "skip"
    assert settings["drop"] == ["b"]
    assert len(load("x").x) == 190


@pytest.mark.parametrize(
    ("frame", "settings", "message"),
    [
        (numbers(200)[["a"]], {}, "an autoencoder needs two"),
        (numbers(200).set_axis(["1", "2.5", "-3", "4"], axis=1), {}, "holds numbers ('1'"),
        (numbers(200, ok="ok").set_axis([".5", "2", "-3", "4", "ok"], axis=1), {}, "('.5', ...)"),
        (numbers(26), {}, "there are 26 normal samples"),
        (numbers(200), {"label": "e"}, "no column 'e'"),
        (numbers(200, e="noon"), {"time": "e"}, "'noon' in row 1 instead of a number or a date"),
        (numbers(200), {"normal": "ok"}, "label names no column"),
        (numbers(200, e="ok"), {"label": "e"}, "names every label"),
        (numbers(200, e=["bad"] * 60 + [None] * 140), {"label": "e"}, "empty in 140 of 200 rows"),
        (numbers(200, e=["p1", "p2"] * 100), {"id": "e"}, "holds 'p1' more than once"),
        (numbers(200, e="12/31/2024 10:00"), {"time": "e"}, "holds '12/31/2024"),
    ],
)
def test_an_unusable_table_is_rejected_and_nothing_is_written(
    workspace, refusal, frame, settings, message
):
    path = write(workspace.parent / "x.csv", frame)
    assert message in refusal(add, "x", path, **settings)
    assert not Path("configs/data/x.yaml").exists()
    assert not Path("data/own").exists()


@pytest.mark.parametrize("header", [["0", "1", "2", "3"], ["1", "2", "3", "4"]])
def test_numbers_in_order_are_names_of_columns(workspace, header):
    add("x", write(workspace / "x.csv", numbers(200).set_axis(header, axis=1)))
    assert load("x").feature_names == tuple(header)


def test_a_table_that_cannot_be_scored_is_rejected(workspace, refusal):
    path = write(workspace.parent / "x.csv", numbers(200))
    path.write_text(path.read_text() + "1,2\n")  # pandas fills short rows
    assert "Expected 4 columns, got 2" in refusal(add, "x", path)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (RNG.permutation(200), "A number per row"),
        ([f"{1000 * i:,}.5" for i in range(200)], "Numbers with commas"),
        ([f"{i % 7},5" for i in range(200)], "Numbers with commas"),
        (pd.Timestamp("2024-01-01").date(), "The same value"),
    ],
)
def test_a_column_of_numbers_that_is_no_feature_has_its_reason(workspace, values, kind):
    add("x", write(workspace / "x.csv", numbers(200, id=values)))
    assert f"# {kind}" in Path("configs/data/x.yaml").read_text(encoding="utf-8")
    assert "id" not in load("x").feature_names


def test_names_that_two_cells_would_share_are_rejected(table, refusal, set_yaml):
    set_yaml("params.yaml", "models", value=["linear", "a-linear"])
    set_yaml("configs/model/a-linear.yaml", "class_path", value="hourglass.models.linear.Linear")
    set_yaml("params.yaml", "data", value=["pumps-a"])
    set_yaml("configs/data/pumps-a.yaml", "class_path", value="hourglass.data.digits.Digits")
    assert "would both be called" in refusal(add, "pumps", table)


def test_a_suitable_share_of_few_samples_is_for_the_calibration(workspace):
    add("x", write(workspace / "x.csv", numbers(60)))
    fractions = data_config("x")["init_args"]["fractions"]
    assert sum(fractions.values()) == pytest.approx(1)
    assert fractions["calibration"] * 60 >= 19


def test_samples_too_few_for_a_calibration_split_keep_the_default_splits_for_folds(workspace):
    add("x", write(workspace / "x.csv", numbers(30)))
    assert "fractions" not in data_config("x")["init_args"]


@pytest.mark.parametrize("classes", [True, False])
def test_images_of_a_folder(workspace, classes):
    folder = workspace.parent / "castings"
    for i in range(150):
        place = folder / (("scratch" if i < 20 else "good") if classes else "")
        place.mkdir(parents=True, exist_ok=True)
        pixels = RNG.integers(0, 256, (20, 30 + i % 2, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / f"{i}.png")
    add("castings", folder)
    settings = data_config("castings")["init_args"]
    assert settings["size"] == 64  # they have two sizes
    assert settings.get("normal") == (["good"] if classes else None)
    raw = load("castings")
    assert raw.x.shape == (150, 3, 64, 64)
    assert raw.anomaly.sum() == (20 if classes else 0)


def write_classes(folder: Path, *names: str) -> Path:
    for i in range(150):
        place = folder / names[i % len(names)]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RNG.integers(0, 256, (8, 8), dtype=np.uint8)).save(place / f"{i}.png")
    return folder


def test_the_class_of_normal_images_may_begin_with_a_capital_letter(workspace):
    add("castings", write_classes(workspace.parent / "castings", "Good", "Bad"))
    assert data_config("castings")["init_args"]["normal"] == ["Good"]


def test_classes_are_shown_if_none_is_known_to_be_normal(workspace, capsys):
    add("pets", write_classes(workspace.parent / "pets", "cats", "dogs"))
    assert "Classes are ['cats', 'dogs']; name the normal" in capsys.readouterr().out


def test_labels_of_another_number_of_rows_are_rejected(workspace, refusal):
    path = workspace.parent / "rows.npz"
    np.savez(path, x=RNG.normal(size=(150, 3)), y=np.zeros(5))
    assert "shape (5,) for 150 samples" in refusal(add, "rows", path)


def test_an_npz_file_holds_images_or_a_table(workspace):
    images, rows = workspace.parent / "images.npz", workspace.parent / "rows.npz"
    np.savez(images, x=RNG.integers(0, 256, (150, 8, 8), dtype=np.uint8))
    np.savez(rows, x=RNG.normal(size=(150, 3)), y=np.arange(150) % 10 == 0)
    add("images", images)
    add("rows", rows)
    assert load("images").x.shape == (150, 1, 8, 8)
    raw = load("rows")
    assert raw.feature_names == ("x0", "x1", "x2")
    assert raw.anomaly.sum() == 15
    np.testing.assert_array_equal(raw.x, np.load(rows)["x"].astype(np.float32))
