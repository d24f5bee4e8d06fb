"""Command `add`: settings of the user's own files, the grid, and what it leaves unchanged."""

import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from hourglass.cli.add import add
from hourglass.cli.data_plan import _holds_mostly_images
from hourglass.cli.data_set_yaml import yaml_value
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


def test_the_kinds_of_all_columns_are_listed_as_comments(table, capsys):
    add("pumps", table, label="state")
    text = Path("configs/data/pumps.yaml").read_text(encoding="utf-8")
    assert "drop" not in yaml.safe_load(text)["init_args"]
    assert yaml.safe_load(text)["init_args"]["kinds"] is None
    printed = capsys.readouterr().out.splitlines()
    for column, kind, decision in [
        ("flow", "numeric", ""),
        ("on", "boolean", "False / True"),
        ("site", "categorical", "2 levels"),
        ("when", "datetime", "hour"),
        ("price", "numeric", ""),
        ("note", "categorical", "dropped: a text per row; set `id`"),
        ("count", "numeric", "dropped: rises from row to row"),
        ("unit", "categorical", "dropped: the same value in every row, such as 'bar'"),
        ("empty", "categorical", "dropped: no values"),
        ("Unnamed: 0", "numeric", "dropped: row numbers without a name"),
    ]:
        start = f"    # {yaml_value(column)}:"
        line = next(line for line in text.splitlines() if line.startswith(start))
        assert f": {kind}" in line
        assert decision in line
        assert decision in next(line for line in printed if line.startswith(f"  {column}"))


def test_a_kind_becomes_a_setting_without_its_number_sign(table):
    add("pumps", table, label="state")
    path = Path("configs/data/pumps.yaml")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("# unit: categorical", "unit: categorical"), encoding="utf-8")
    assert "unit" in load("pumps").feature_names


def test_the_settings_load_the_table(table):
    add("pumps", table, label="state", id="note", drop="load")
    raw = load("pumps")
    names = ("flow", "temp", "speed", "on", "site", "when", "price")
    assert raw.feature_names == names
    assert raw.anomaly.sum() == 20
    assert raw.id[7] == "row 7"
    assert raw.x[7, 6] == 1234.5


def test_a_column_named_like_a_label_is_no_feature(workspace):
    frame = numbers(200, anomaly=[i % 10 == 0 for i in range(200)])
    add("x", write(workspace / "x.csv", frame))
    assert data_config("x")["init_args"]["drop"] == ["anomaly"]
    assert "set `label` to it" in Path("configs/data/x.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "anomalies", "is_hinted"),
    [
        ("state", 10, True),
        ("pump status", 10, True),
        ("isFraud", 10, True),
        ("class", 90, True),  # left out by its name
        ("state", 90, False),
        ("estate", 10, False),
        ("island", 10, False),
    ],
)
def test_a_column_that_may_be_the_label_is_named_with_the_option(
    workspace, capsys, name, anomalies, is_hinted
):
    values = ["broken" if i < anomalies else "ok" for i in range(200)]
    path = write(workspace / "x.csv", numbers(200, **{name: values}))
    add("x", path)
    option = f"--label {shlex.quote(name)}"
    assert (option in capsys.readouterr().out) == is_hinted
    add("x", path, label=name, replace=True)
    assert option not in capsys.readouterr().out


def test_rows_without_any_value_are_counted_in_the_right_form(workspace, capsys):
    frame = numbers(201)
    frame.iloc[7] = np.nan
    add("x", write(workspace / "x.csv", frame))
    assert "Left out: 1 row without any value." in capsys.readouterr().out


def test_a_table_outside_the_workspace_is_copied_to_where_changes_are_noticed(table):
    add("pumps", table, label="state")
    path = data_config("pumps")["init_args"]["path"]
    assert _is_own(path)
    assert Path(path).read_bytes() == table.read_bytes()


@pytest.mark.parametrize(
    ("file", "tracked"),
    [
        ("../mine.csv", ["data/own/pumps.csv"]),
        ("data/own/plant/a/mine.csv", ["data/own/plant"]),
        ("data/own/*.csv", []),
    ],
)
def test_dvc_add_is_offered_for_data_that_it_can_track(workspace, capsys, file, tracked):
    """Git sees .dvc files in data/own alone, not in its subfolders."""
    path = Path(file.replace("*", "mine"))
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, numbers(200))
    add("pumps", Path(file))
    assert re.findall("dvc add (.*?) ", capsys.readouterr().out) == tracked


@pytest.mark.parametrize("pattern", ["", "*.csv"])
def test_a_folder_or_a_pattern_of_tables_is_copied_as_a_folder(workspace, pattern):
    folder = workspace.parent / "days"
    folder.mkdir()
    for day in ("a", "b"):
        write(folder / f"{day}.csv", numbers(100))
    add("days", folder / pattern)
    assert data_config("days")["init_args"]["path"] == "data/own/days"
    assert len(load("days").x) == 200


def test_a_compressed_table_stays_compressed(workspace):
    path = workspace.parent / "x.csv.gz"
    numbers(200).to_csv(path, index=False)
    add("x", path)
    assert data_config("x")["init_args"]["path"] == "data/own/x.csv.gz"
    assert len(load("x").x) == 200


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
        (["a", "a, b", "c"], 'a, "a, b"', ["a", "a, b"]),
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
    text = Path("configs/data/x.yaml").read_text(encoding="utf-8")
    assert "# 'no': categorical  # dropped: the same value" in text
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


def test_rows_with_missing_cells_are_used(workspace, capsys):
    frame = numbers(200)
    frame.loc[:9, "a"] = None
    frame.loc[50:129, "b"] = None
    add("x", write(workspace / "x.csv", frame))
    assert "90 rows with a missing cell" in capsys.readouterr().out
    assert np.isnan(load("x").x).sum(0).tolist() == [10, 80, 0, 0]


@pytest.mark.parametrize(
    ("frame", "settings", "message"),
    [
        (numbers(200)[["a"]], {}, "an autoencoder needs two"),
        (numbers(26), {}, "there are 26 normal samples"),
        (numbers(200), {"label": "e"}, "no column 'e'"),
        (numbers(200, e="noon"), {"time": "e"}, "'noon' in row 1 instead of a number or a date"),
        (numbers(200), {"normal": "ok"}, "label names no column"),
        (numbers(200, e="ok"), {"label": "e"}, "names every label"),
        (
            numbers(200, e=["bad"] * 60 + [None] * 140),
            {"label": "e"},
            "one of 140 of 200 rows without",
        ),
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


def test_a_header_of_numbers_is_a_row(workspace):
    frame = numbers(200).set_axis(["1.5", "2.5", "-3", "4"], axis=1)
    add("x", write(workspace / "x.csv", frame))
    raw = load("x")
    assert raw.feature_names == ("f1", "f2", "f3", "f4")
    assert raw.x[0].tolist() == [1.5, 2.5, -3, 4]


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
    assert settings["size"] == [24, 32]  # they have two sizes
    assert settings.get("normal") == (["good"] if classes else None)
    raw = load("castings")
    assert raw.x.shape == (150, 3, 24, 32)
    assert raw.anomaly.sum() == (20 if classes else 0)


@pytest.mark.parametrize(
    ("features", "size"), [(True, [224, 296]), (False, [56, 80])], ids=["features", "pixels"]
)
def test_photographs_get_a_size_that_suits_the_grid(workspace, set_yaml, capsys, features, size):
    folder = workspace.parent / "castings"
    folder.mkdir()
    for i in range(40):
        pixels = RNG.integers(0, 256, (300, 400 + i % 3, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.jpg")
    set_yaml("params.yaml", "models", value=["feature" if features else "linear"])
    add("castings", folder)
    settings = data_config("castings")["init_args"]
    assert settings["size"] == size
    assert settings["fit"] == "pad"
    assert ("add it to `models`" in capsys.readouterr().out) is not features


def write_classes(folder: Path, *names: str) -> Path:
    for i in range(150):
        place = folder / names[i % len(names)]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RNG.integers(0, 256, (8, 8), dtype=np.uint8)).save(place / f"{i}.png")
    return folder


def test_the_class_of_normal_images_may_begin_with_a_capital_letter(workspace):
    add("castings", write_classes(workspace.parent / "castings", "Good", "Bad"))
    assert data_config("castings")["init_args"]["normal"] == ["Good"]


@pytest.mark.parametrize("label", ["label", "verdict"])
def test_a_table_of_paths_of_images_is_images(workspace, capsys, label):
    folder = write_classes(workspace.parent / "castings", "a")
    names = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*.png"))
    labels = ["bad" if i < 20 else "good" for i in range(len(names))]
    index = folder / "castings.csv"
    pd.DataFrame({"path": names, label: labels}).to_csv(index, index=False)
    add("castings", index, label=None if label == "label" else label)
    assert "as it names files elsewhere" in capsys.readouterr().out
    raw = load("castings")
    assert raw.x.shape == (150, 1, 8, 8)
    np.testing.assert_array_equal(raw.anomaly, np.array(labels) == "bad")


def test_damaged_images_are_skipped_if_that_is_asked_for(workspace, refusal):
    folder = write_classes(workspace.parent / "castings", "good", "bad")
    (folder / "good/2.png").write_bytes(b"not an image")
    assert "2.png cannot be read" in refusal(add, "castings", folder)
    add("castings", folder, skip_damaged=True)
    assert data_config("castings")["init_args"]["skip_damaged"] is True
    assert len(load("castings").x) == 149
    header = (workspace / "configs/data/castings.yaml").read_text(encoding="utf-8").split("\n")[0]
    assert header.endswith(" --skip-damaged`.")


def test_rows_of_a_table_are_not_skipped_as_damaged(workspace, refusal):
    table = write(workspace / "x.csv", numbers(60))
    assert "x.csv is a table; omit it" in refusal(add, "x", table, skip_damaged=True)


def test_a_table_with_a_column_of_documents_is_a_table(workspace):
    frame = pd.DataFrame({"path": [f"{i}.txt" for i in range(150)], "a": RNG.normal(size=150)})
    frame["b"] = RNG.normal(size=150)
    add("documents", write(workspace / "documents.csv", frame))
    assert data_config("documents")["class_path"].endswith(".Table")


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
    np.testing.assert_array_equal(raw.x, np.load(rows)["x"])


def test_a_folder_of_images_beside_a_table_of_labels_holds_images(tmp_path):
    for i in range(3):
        Image.fromarray(np.full((9, 9), i, np.uint8)).save(tmp_path / f"{i}.png")
    (tmp_path / "labels.csv").write_text("file,label\n0.png,good\n")
    assert _holds_mostly_images(tmp_path)
    for i in range(3):
        (tmp_path / f"{i}.csv").write_text("a,b\n1,2\n")
    assert not _holds_mostly_images(tmp_path)
