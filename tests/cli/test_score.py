"""Command `score`: its table, the files that it reads and its errors."""

import os
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import rankdata

from hourglass.cli.score import score
from hourglass.detection.calibrators.conformal import discoveries, p_values
from tests.cli import IMAGES, TABLE
from tests.cli.files import image_name, read_table, write_images, write_npz, write_table

BOMBS = Path(__file__).parents[1] / "cases/serving"
FEATURES = [f"{column}_{i}" for i in (1, 2, 3) for column in ("feature", "contribution", "reason")]


def scores_of(cells: Path, cell: tuple[str, str], split: str) -> pd.DataFrame:
    """Return the scores that `evaluate` wrote."""
    table = pd.read_parquet(cells / "runs" / Path(*cell) / "evaluate/scores.parquet")
    return table[table.split == split].reset_index(drop=True)


@pytest.fixture
def expected(cells) -> pd.DataFrame:
    return scores_of(cells, TABLE, "test")


@pytest.fixture
def scored(here) -> Callable[..., pd.DataFrame]:
    """Give a function that scores a table and reads the result."""

    def run(frame: pd.DataFrame, suffix: str = ".csv", out: str = "out.csv", **options):
        return read_table(
            score(*TABLE, write_table(frame, here / f"new{suffix}"), here / out, **options)
        )

    return run


@pytest.fixture
def scored_images(here) -> Callable[..., pd.DataFrame]:
    """Give a function that scores the images of a file or folder and reads the result."""

    def run(file: Path, **options):
        return read_table(score(*IMAGES, file, here / "out.csv", heat_maps=0, **options))

    return run


@pytest.mark.parametrize("out", ["out.csv", "out.parquet"])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_scores_agree_with_evaluate(scored, rows, expected, suffix, out):
    table = scored(rows, suffix, out, id="name")
    assert list(table) == ["id", "score", "threshold", "alarm", "p_value", "rank", *FEATURES]
    assert table.id.tolist() == expected.id.tolist()
    np.testing.assert_allclose(table.score, expected.score, rtol=1e-5)
    assert table.alarm.tolist() == expected.alarm.tolist()


def test_ranks_and_p_values_are_relative_to_the_whole_file(cells, scored, rows, expected):
    table = scored(rows)
    assert table["rank"].tolist() == rankdata(-expected.score, method="ordinal").tolist()
    calibration = scores_of(cells, TABLE, "calibration").score.to_numpy()
    np.testing.assert_allclose(table.p_value, p_values(calibration, expected.score))
    assert table.id.tolist() == list(range(1, len(rows) + 1))


def test_the_chunk_size_does_not_matter(scored, rows, monkeypatch):
    whole = scored(rows, ".parquet", "whole.parquet")
    monkeypatch.setattr("hourglass.data.readers.typed_tables.CHUNK_ROWS", 7)
    parts = scored(rows, ".parquet", "parts.parquet")
    pd.testing.assert_frame_equal(whole, parts, rtol=1e-4, atol=1e-5, check_categorical=False)


def test_the_feature_with_the_unusual_value_is_named(scored, rows):
    table = scored(rows.assign(**{"mean radius": rows["mean radius"] + 1000}))
    assert (table.feature_1 == "mean radius").all()
    assert (table.contribution_1 >= table.contribution_2).all()
    assert table.reason_1.str.fullmatch(r"mean radius 1,0[\d.]+, expected \S+ to \S+").all()


def test_alarms_can_be_the_highest_scores_or_discoveries(scored, rows):
    table = scored(rows, top=7)
    assert sorted(table[table.alarm]["rank"]) == [1, 2, 3, 4, 5, 6, 7]
    table = scored(rows, false_discovery_rate=0.2)
    assert table.alarm.tolist() == discoveries(table.p_value.to_numpy(), 0.2).tolist()


def with_value(frame: pd.DataFrame, value: str | float) -> pd.DataFrame:
    """Return the table with another value in one row."""
    frame = frame.astype({"mean area": object})
    frame.loc[3, "mean area"] = value
    return frame


def test_a_missing_cell_is_scored_refused_or_skipped(here, scored, rows, refusal):
    others, table = scored(rows.drop(3)), with_value(rows, np.nan)
    used = scored(table)
    assert used.score.notna().all()
    np.testing.assert_allclose(used.drop(3).score, others.score, rtol=1e-5)
    skipped = scored(table, missing="skip")
    assert skipped.loc[3, ["score", "p_value", "rank", "alarm", "feature_1"]].isna().all()
    np.testing.assert_allclose(skipped.drop(3).score, others.score, rtol=1e-5)
    assert skipped.drop(3)["rank"].tolist() == others["rank"].tolist()
    file = write_table(table, here / "new.csv")
    said = refusal(score, *TABLE, file, here / "out.csv", missing="refuse")
    assert "Column 'mean area' of" in said
    assert "is empty in row 4" in said


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("value", [1e30, 1e300, -1e308, np.inf])
def test_the_most_extreme_row_ranks_first_and_is_an_alarm(scored, rows, value, suffix):
    frame = rows.copy()
    frame.loc[3, "mean area"] = value
    table = scored(frame, suffix)
    assert table["rank"][3] == 1
    assert table.alarm[3]
    assert table.reason_1[3].startswith("mean area ")


def test_a_row_without_any_value_has_no_score(scored, rows, capsys):
    frame = rows.drop(columns="comment")
    frame.loc[3, frame.columns != "name"] = np.nan
    table = scored(frame)
    assert table.loc[3, ["score", "p_value", "rank", "alarm", "reason_1"]].isna().all()
    assert "1 without a score" in capsys.readouterr().out


def test_other_columns_are_ignored_and_said_once(scored, rows, capsys):
    scored(pd.concat([rows] * 40))
    said = capsys.readouterr().out
    assert said.count("ignored,") == 1
    assert "'name', 'comment'" in said


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_numbers_of_any_type_are_read_as_in_training(scored, rows, suffix):
    whole = rows.assign(**{"mean area": np.arange(len(rows)) % 2})
    other = whole.astype({"mean area": bool})
    if suffix == ".parquet":
        other = other.astype({"mean radius": str, "mean texture": "category"})
    np.testing.assert_allclose(scored(other, suffix).score, scored(whole, suffix).score, rtol=1e-5)


def test_ids_that_begin_like_formulas_are_text_in_a_csv_file_and_unchanged_in_parquet(scored, rows):
    ids = ["=1+1", "-1.5", *map(str, rows.index[2:])]
    table = rows.assign(name=ids)
    assert scored(table, id="name").id[0] == "'=1+1"
    assert float(scored(table, id="name").id[1]) == -1.5
    assert scored(table, out="out.parquet", id="name").id.tolist() == ids


def test_a_table_with_a_long_header_is_scored_and_its_header_alone_holds_no_samples(
    here, scored, rows, refusal
):
    names = [f"{i:01000}" for i in range(3000)]  # 3 MB, more than a block of the reader
    more = pd.DataFrame(0, index=rows.index[:3], columns=names)
    wide = pd.concat([rows[:3], more], axis=1)
    np.testing.assert_allclose(scored(wide).score, scored(rows[:3]).score, rtol=1e-5)
    file = write_table(wide[:0], here / "new.csv")
    assert "has no rows" in refusal(score, *TABLE, file, here / "out.csv")


def test_a_feature_can_name_the_rows(scored, rows):
    np.testing.assert_allclose(scored(rows, id="mean radius").id, rows["mean radius"])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda frame: with_value(frame, "wide"), "'wide' in row 4 instead of a number"),
        (lambda frame: frame.drop(columns="mean area"), "no column 'mean area'"),
        (lambda frame: frame.rename(columns={"mean area": "mean_area"}), "mean 'mean_area'"),
        (lambda frame: frame[:0], "has no rows"),
    ],
    ids=["text", "missing column", "misspelt column", "no rows"],
)
def test_a_bad_table_is_refused_and_nothing_is_written(here, rows, change, named, refusal):
    file = write_table(change(rows), here / "new.csv")
    assert named in refusal(score, *TABLE, file, here / "out.csv")
    assert list(here.iterdir()) == [file]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"top": 0}, "top is 0"),
        ({"false_discovery_rate": 1.5}, "is 1.5"),
        ({"top": 3, "false_discovery_rate": 0.1}, "exclude each other"),
        ({"heat_maps": -1}, "heat_maps is -1"),
        ({"out": Path("out.xlsx")}, "out.xlsx"),
        ({"id": "nome"}, "no column 'nome'"),
    ],
)
def test_impossible_options_are_refused(here, rows, options, named, refusal):
    file = write_table(rows, here / "new.csv")
    assert named in refusal(score, *TABLE, file, **({"out": here / "out.csv"} | options))


@pytest.mark.parametrize(
    ("cell", "name", "content", "named"),
    [
        (TABLE, "gone.csv", None, "does not exist"),
        (TABLE, "new.png", b"", "is not a table"),
        (IMAGES, "new.csv", b"a\n1\n", "no column of paths"),
        (TABLE, "new.csv", b"", "is empty"),
        (TABLE, "new.parquet", b"abc", "cannot be read"),
        (IMAGES, "new.npz", b"abc", "cannot be read"),
        (IMAGES, "new.png", b"abc", "cannot be read"),
    ],
)
def test_an_unreadable_file_is_refused(here, cell, name, content, named, refusal):
    if content is not None:
        (here / name).write_bytes(content)
    assert named in refusal(score, *cell, here / name, here / "out.csv")


def test_the_input_is_not_overwritten(here, rows, images, refusal):
    file = write_table(rows, here / "new.csv")
    before = file.read_bytes()
    assert "would overwrite" in refusal(score, *TABLE, file, file)
    assert file.read_bytes() == before
    folder = write_images(images, here / "new.heat_maps")  # the name of the folder of heat maps
    for source in (folder, folder / image_name(1)):
        assert "would overwrite" in refusal(score, *IMAGES, source, here / "new.csv")
    assert len(list(folder.rglob("*.png"))) == len(images)


@pytest.mark.parametrize(
    "layout",
    [
        lambda x: x,
        lambda x: x[:, 0],
        lambda x: x[:, 0, :, :, None],
        np.asfortranarray,
    ],
    ids=["channels first", "grey", "channels last", "column-major"],
)
def test_images_of_an_npz_file_have_the_scores_of_evaluate(
    cells, here, scored_images, images, layout, monkeypatch
):
    monkeypatch.setattr("hourglass.data.readers.numpy_files.CHUNK_BYTES", 7 * images[0].size)
    table = scored_images(write_npz(layout(images), here))
    np.testing.assert_allclose(table.score, scores_of(cells, IMAGES, "test").score[:40], rtol=1e-5)
    assert table.id[0] == "new.npz/0"


def test_images_of_a_folder_have_the_scores_of_an_npz_file(here, scored_images, images):
    array = scored_images(write_npz(images, here))
    table = scored_images(write_images(images, here / "new"))
    order = sorted(range(40), key=image_name)
    np.testing.assert_allclose(table.score, array.score[order], rtol=1e-5)
    assert table.id.tolist() == [image_name(i) for i in order]


def test_images_of_another_size_are_refused_or_resized(here, scored_images, images, refusal):
    file = write_images(images.repeat(2, 2).repeat(2, 3), here / "new")
    assert "16 x 16" in refusal(score, *IMAGES, file, here / "out.csv")
    assert len(scored_images(file, resize=True)) == 40


@pytest.mark.parametrize("shape", [(5,), (5, 0), (0, 8, 8)])
def test_an_array_without_samples_is_refused(here, shape, refusal):
    file = write_npz(np.zeros(shape, np.uint8), here)
    assert "no samples" in refusal(score, *IMAGES, file, here / "out.csv")


def test_a_damaged_array_is_refused(here, images, refusal):
    file = write_npz(images, here)
    content = bytearray(file.read_bytes())
    content[200:260] = bytes(60)
    file.write_bytes(content)
    assert "cannot be read" in refusal(score, *IMAGES, file, here / "out.csv")


@pytest.mark.parametrize("order", "CF")
def test_an_array_of_another_shape_is_refused_unread(here, order, refusal):
    file = write_npz(np.zeros((1, 6000, 6000), np.uint8, order), here)
    tracemalloc.start()
    assert "are 1x6000x6000, but" in refusal(score, *IMAGES, file, here / "out.csv")
    assert tracemalloc.get_traced_memory()[1] < 10 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("name", ["bomb_12000x12000.png", "bomb_60000x60000.png"])
@pytest.mark.parametrize("resize", [True, False])
def test_an_image_is_refused_by_its_declared_size(here, name, resize, refusal):
    start = time.process_time()
    refusal(score, *IMAGES, BOMBS / name, here / "out.csv", resize=resize)
    assert time.process_time() - start < 2


def test_an_array_that_declares_more_than_its_file_holds_is_refused(here, refusal):
    said = refusal(score, *IMAGES, BOMBS / "claims_100GB.npz", here / "out.csv")
    assert "declares 120,000,000,000 bytes, but the file holds 1,048,704" in said


@pytest.mark.parametrize("name", ["new.csv", "new.parquet", "new.npz", "new.png", "folder/new.png"])
def test_a_pipe_is_refused_instead_of_waited_for(here, name, refusal):
    pipe = here / name
    pipe.parent.mkdir(exist_ok=True)
    os.mkfifo(pipe)
    file = pipe.parent if "/" in name else pipe
    cell = IMAGES if name.endswith((".npz", ".png")) else TABLE
    assert "is a pipe" in refusal(score, *cell, file, here / "out.csv")


def drawn(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a score table with a heat map, which must be an image."""
    rows = table[table.heat_map.notna()]
    for path in rows.heat_map:
        with Image.open(path) as image:
            assert image.width > 50
    return rows


def test_the_images_with_the_highest_scores_get_heat_maps(drawing_here, images):
    file, out = write_npz(images, drawing_here), drawing_here / "out.csv"
    table = drawn(read_table(score(*IMAGES, file, out, heat_maps=3)))
    assert sorted(table["rank"]) == [1, 2, 3]
    assert len(list((drawing_here / "out.heat_maps").glob("*.png"))) == 3
    score(*IMAGES, file, out, heat_maps=0)
    assert not (drawing_here / "out.heat_maps").exists()


def test_a_heat_map_may_have_any_file_name(drawing_here, images):
    path = drawing_here / "p_$1^^2$.png"
    Image.fromarray(images[0, 0]).save(path)
    assert len(drawn(read_table(score(*IMAGES, path, drawing_here / "out.csv")))) == 1
