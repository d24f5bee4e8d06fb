"""Command `score`: its table, the files that it reads and its errors."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import rankdata

from hourglass.cli.score import score
from hourglass.data.prepared_data import Prepared
from hourglass.detection.calibrators.conformal import discoveries, p_values
from hourglass.stages.evaluate import evaluate
from tests.workspaces import FakeRecorder, calibrated, lean, set_up, working_in

TABLE, PICTURES = ("breast_cancer", "denoising"), ("digits", "convolutional")
NAMED = [
    "feature_1",
    "contribution_1",
    "feature_2",
    "contribution_2",
    "feature_3",
    "contribution_3",
]


@pytest.fixture(scope="module")
def cells(tmp_path_factory) -> Path:
    """Give a working folder with a trained and calibrated cell of a table and one of images."""
    folder = set_up(tmp_path_factory.mktemp("score") / "workspace")
    with working_in(folder, FakeRecorder()), pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "hourglass.evaluation.figures.save", lambda figure, path: path.write_text("undrawn")
        )
        calibrated(TABLE, PICTURES)
        for cell in (TABLE, PICTURES):
            evaluate(*cell)
    return folder


@pytest.fixture
def here(cells, tmp_path) -> Iterator[Path]:
    """Work in the folder of the cells; give a folder for files."""
    with working_in(cells):
        yield tmp_path


@pytest.fixture(scope="module")
def rows(cells) -> pd.DataFrame:
    """Give the test rows of the table, with columns reversed and two columns added."""
    prepared = Prepared.open(cells / "data/prepared/breast_cancer")
    test = prepared.split("test")
    frame = pd.DataFrame(test.x, columns=prepared.card["feature_names"]).astype(np.float64)
    frame = frame[frame.columns[::-1]]
    return frame.assign(name=test.id, comment="none")


@pytest.fixture(scope="module")
def expected(cells) -> pd.DataFrame:
    """Give the scores of the test rows that `evaluate` wrote."""
    table = pd.read_parquet(cells / "runs/breast_cancer/denoising/evaluate/scores.parquet")
    return table[table.split == "test"].reset_index(drop=True)


def written(frame: pd.DataFrame, path: Path) -> Path:
    frame.to_csv(path, index=False) if path.suffix == ".csv" else frame.to_parquet(path)
    return path


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)


@pytest.mark.parametrize("out", [".csv", ".parquet"])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_scores_agree_with_evaluate(here, rows, expected, suffix, out):
    table = read(score(*TABLE, written(rows, here / f"new{suffix}"), here / f"out{out}", id="name"))
    assert list(table) == ["id", "score", "threshold", "alarm", "p_value", "rank", *NAMED]
    assert table.id.tolist() == expected.id.tolist()
    np.testing.assert_allclose(table.score, expected.score, rtol=1e-5)
    assert table.alarm.tolist() == expected.alarm.tolist()


def test_ranks_and_p_values_are_relative_to_the_whole_file(cells, here, rows, expected):
    table = read(score(*TABLE, written(rows, here / "new.csv"), here / "out.csv"))
    assert table["rank"].tolist() == rankdata(-expected.score, method="ordinal").tolist()
    everything = pd.read_parquet(cells / "runs/breast_cancer/denoising/evaluate/scores.parquet")
    calibration = everything[everything.split == "calibration"].score
    np.testing.assert_allclose(table.p_value, p_values(calibration.to_numpy(), expected.score))
    assert table.id.tolist() == list(range(1, len(rows) + 1))


def test_the_chunk_size_does_not_matter(here, rows, monkeypatch):
    file = written(rows, here / "new.parquet")
    whole = read(score(*TABLE, file, here / "whole.parquet"))
    monkeypatch.setattr("hourglass.data.readers.table_chunks.PARQUET_CHUNK_ROWS", 7)
    parts = read(score(*TABLE, file, here / "parts.parquet"))
    pd.testing.assert_frame_equal(whole, parts, rtol=1e-5, check_categorical=False)


def test_the_feature_with_the_unusual_value_is_named(here, rows):
    odd = rows.copy()
    odd["mean radius"] += 1000
    table = read(score(*TABLE, written(odd, here / "new.csv"), here / "out.csv"))
    assert (table.feature_1 == "mean radius").all()
    assert (table.contribution_1 >= table.contribution_2).all()


def test_alarms_can_be_the_highest_scores(here, rows):
    table = read(score(*TABLE, written(rows, here / "new.csv"), here / "out.csv", top=7))
    assert table[table.alarm]["rank"].sort_values().tolist() == [1, 2, 3, 4, 5, 6, 7]


def test_alarms_can_be_discoveries(here, rows):
    file = written(rows, here / "new.csv")
    table = read(score(*TABLE, file, here / "out.csv", false_discovery_rate=0.2))
    assert table.alarm.tolist() == discoveries(table.p_value.to_numpy(), 0.2).tolist()


def test_a_row_with_a_gap_is_skipped_on_request(here, rows):
    gap = rows.copy()
    gap.loc[3, "mean area"] = np.nan
    table = read(score(*TABLE, written(gap, here / "new.csv"), here / "out.csv", missing="skip"))
    others = read(score(*TABLE, written(rows.drop(3), here / "new.csv"), here / "others.csv"))
    assert table.loc[3, ["score", "p_value", "rank", "alarm", "feature_1"]].isna().all()
    kept = table.drop(3)
    np.testing.assert_allclose(kept.score, others.score, rtol=1e-5)
    assert kept["rank"].tolist() == others["rank"].tolist()


def test_values_too_large_to_score_are_refused_or_skipped(here, rows, refusal):
    huge = rows.copy()
    huge.loc[3, "mean area"] = 1e36
    file = written(huge, here / "new.csv")
    sentence = refusal(lambda: score(*TABLE, file, here / "out.csv", id="name"))
    assert huge.name[3] in sentence
    table = read(score(*TABLE, file, here / "out.csv", missing="skip"))
    assert table.score.isna().tolist() == [i == 3 for i in range(len(rows))]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_numbers_of_any_type_are_read_as_in_training(here, rows, suffix):
    whole = rows.copy()
    whole["mean area"] = np.arange(len(rows)) % 2
    odd = whole.assign(**{"mean area": whole["mean area"].astype(bool)})
    if suffix == ".parquet":
        odd["mean radius"] = odd["mean radius"].astype(str)
        odd["mean texture"] = odd["mean texture"].astype("category")
    one = read(score(*TABLE, written(whole, here / f"one{suffix}"), here / "out.csv"))
    two = read(score(*TABLE, written(odd, here / f"two{suffix}"), here / "out.csv"))
    np.testing.assert_allclose(two.score, one.score, rtol=1e-5)


def test_a_feature_can_name_the_rows(here, rows):
    file = written(rows, here / "new.csv")
    table = read(score(*TABLE, file, here / "out.csv", id="mean radius"))
    np.testing.assert_allclose(table.id, rows["mean radius"])


def test_the_file_itself_is_not_overwritten(here, rows, refusal):
    file = written(rows, here / "new.csv")
    before = file.read_bytes()
    assert "the file to be scored" in refusal(lambda: score(*TABLE, file, file))
    assert file.read_bytes() == before


def gap(frame: pd.DataFrame) -> pd.DataFrame:
    frame.loc[3, "mean area"] = np.nan
    return frame


def infinite(frame: pd.DataFrame) -> pd.DataFrame:
    frame.loc[3, "mean area"] = np.inf
    return frame


def text(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(**{"mean area": ["1.5"] * 3 + ["wide"] * (len(frame) - 3)})


BAD_TABLES: dict[str, tuple[Any, str]] = {
    "an empty cell": (gap, "'mean area' of"),
    "an infinite one": (infinite, "'mean area' of"),
    "text": (text, "wide"),
    "a missing column": (lambda frame: frame.drop(columns="mean area"), "no column 'mean area'"),
    "a misspelt column": (
        lambda frame: frame.rename(columns={"mean area": "mean_area"}),
        "did you mean 'mean_area'",
    ),
}


@pytest.mark.parametrize("what", BAD_TABLES)
def test_a_bad_table_is_refused_and_nothing_is_written(here, rows, what, refusal):
    make, named = BAD_TABLES[what]
    file = written(make(rows.copy()), here / "new.csv")
    assert named in refusal(score, *TABLE, file, here / "out.csv")
    assert [path.name for path in here.iterdir()] == ["new.csv"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"top": 0}, "top is 0"),
        ({"false_discovery_rate": 1.5}, "is 1.5"),
        ({"top": 3, "false_discovery_rate": 0.1}, "exclude each other"),
        ({"out": Path("out.xlsx")}, "out.xlsx"),
        ({"id": "nome"}, "no column 'nome'"),
    ],
)
def test_impossible_options_are_refused(here, rows, options, named, refusal):
    file = written(rows, here / "new.csv")
    arguments = {"out": here / "out.csv"} | options
    assert named in refusal(lambda: score(*TABLE, file, **arguments))


@pytest.mark.parametrize(
    ("cell", "name", "content", "named"),
    [
        (TABLE, "gone.csv", None, "is missing"),
        (TABLE, "new.png", b"", "is not a table"),
        (PICTURES, "new.csv", b"a\n1\n", "takes images"),
        (TABLE, "new.csv", b"", "cannot be read"),
        (TABLE, "new.parquet", b"abc", "cannot be read"),
        (PICTURES, "new.npz", b"abc", "cannot be read"),
        (PICTURES, "new.png", b"abc", "cannot be read"),
    ],
)
def test_an_unreadable_file_is_refused(here, cell, name, content, named, refusal):
    if content is not None:
        (here / name).write_bytes(content)
    assert named in refusal(score, *cell, here / name, here / "out.csv")


@pytest.mark.parametrize("file", ["", "detector.json", "threshold.json", "reference.safetensors"])
def test_a_cell_without_a_complete_calibration_is_refused(cells, rows, tmp_path, refusal, file):
    shutil.copytree(cells / "runs", tmp_path / "runs")
    folder = Path("runs/breast_cancer/denoising/calibrate")
    new = written(rows, tmp_path / "new.csv")
    with working_in(tmp_path):
        (folder / file).unlink() if file else shutil.rmtree(folder)
        sentence = refusal(score, *TABLE, new, Path("out.csv"))
    assert folder.as_posix() in sentence
    assert "calibrate" in sentence.partition(";")[2]


def test_a_table_with_a_header_alone_is_refused(here, rows, refusal):
    file = written(rows.iloc[:0], here / "new.csv")
    assert "holds no samples" in refusal(score, *TABLE, file, here / "out.csv")


@pytest.fixture(scope="module")
def images(cells) -> np.ndarray:
    return np.array(Prepared.open(cells / "data/prepared/digits").split("test").x[:40])


def as_npz(x: np.ndarray, folder: Path) -> Path:
    np.savez_compressed(folder / "new.npz", x=x)
    return folder / "new.npz"


def as_files(x: np.ndarray, folder: Path) -> Path:
    for i, image in enumerate(x):
        path = folder / "new" / f"{i % 2}" / f"{i:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.round(image[0] * (255 / 16)).astype(np.uint8)).save(path)
    return folder / "new"


@pytest.mark.parametrize("shape", ["channels first", "grey", "channels last"])
def test_images_of_an_npz_file_have_the_scores_of_evaluate(cells, here, images, shape, monkeypatch):
    monkeypatch.setattr("hourglass.data.readers.image_chunks.CHUNK_BYTES", 7 * images[0].size)
    x = {"channels first": images, "grey": images[:, 0], "channels last": images[:, 0, :, :, None]}
    table = read(score(*PICTURES, as_npz(x[shape], here), here / "out.csv", heat_maps=0))
    whole = pd.read_parquet(cells / "runs/digits/convolutional/evaluate/scores.parquet")
    np.testing.assert_allclose(table.score, whole[whole.split == "test"].score[:40], rtol=1e-5)
    assert table.id[0] == "new.npz/0"


def test_the_memory_order_of_an_array_does_not_matter(here, images):
    one = read(score(*PICTURES, as_npz(images, here), here / "one.csv", heat_maps=0))
    file = as_npz(np.asfortranarray(images), here)
    two = read(score(*PICTURES, file, here / "two.csv", heat_maps=0))
    np.testing.assert_allclose(two.score, one.score, rtol=1e-5)


@pytest.mark.parametrize("shape", [(5,), (5, 0), (0, 8, 8)])
def test_an_array_without_samples_is_refused(here, shape, refusal):
    file = as_npz(np.zeros(shape, np.uint8), here)
    assert "no samples" in refusal(score, *PICTURES, file, here / "out.csv")


def test_a_damaged_array_is_refused(here, images, refusal):
    file = as_npz(images, here)
    content = bytearray(file.read_bytes())
    content[200:260] = bytes(60)
    file.write_bytes(content)
    assert "cannot be read" in refusal(score, *PICTURES, file, here / "out.csv")


def test_a_heat_map_may_have_any_file_name(here, images):
    Image.fromarray(images[0, 0]).save(here / "p_$1^^2$.png")
    (path,) = read(score(*PICTURES, here / "p_$1^^2$.png", here / "out.csv")).heat_map
    with Image.open(path) as image:
        assert image.width > 50


def test_old_heat_maps_are_removed(here, images):
    file = as_npz(images, here)
    score(*PICTURES, file, here / "out.csv", heat_maps=2)
    score(*PICTURES, file, here / "out.csv", heat_maps=0)
    assert not (here / "out.heat_maps").exists()


def test_images_of_a_folder_have_the_scores_of_an_npz_file(here, images):
    one = read(score(*PICTURES, as_npz(images, here), here / "one.csv", heat_maps=0))
    two = read(score(*PICTURES, as_files(images, here), here / "two.csv", heat_maps=0))
    order = sorted(range(40), key=lambda i: (i % 2, i))
    np.testing.assert_allclose(two.score, one.score[order], rtol=1e-5)
    assert two.id.tolist() == [f"{i % 2}/{i:03}.png" for i in order]


def test_the_images_with_the_highest_scores_get_heat_maps(here, images):
    table = read(score(*PICTURES, as_npz(images, here), here / "out.csv", heat_maps=3))
    drawn = table[table.heat_map.notna()]
    assert sorted(drawn["rank"]) == [1, 2, 3]
    for path in drawn.heat_map:
        with Image.open(path) as image:
            assert image.width > 50
    assert len(list((here / "out.heat_maps").iterdir())) == 3


def test_images_of_another_size_are_refused_or_resized(here, images, refusal):
    file = as_files(images.repeat(2, 2).repeat(2, 3), here)
    assert "16 x 16" in refusal(score, *PICTURES, file, here / "out.csv")
    table = read(score(*PICTURES, file, here / "out.csv", resize=True, heat_maps=0))
    assert len(table) == 40


@pytest.mark.slow
def test_the_command_needs_neither_lightning_nor_mlflow(cells, here, rows):
    file = written(rows, here / "new.csv")
    output = lean(cells, "score", *TABLE, str(file), "--out", str(here / "out.csv"))
    assert len(read(here / "out.csv")) == len(rows)
    assert f"{len(rows)} samples" in output
