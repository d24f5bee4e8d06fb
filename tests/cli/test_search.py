"""Command `search`: the nearest samples by code, for files and for samples of the data set."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.neighbors import NearestNeighbors

from hourglass.cli.search import search
from hourglass.core.checksums import read_with_checksum, write_with_checksum
from hourglass.data.prepared_data import SPLITS, Prepared
from hourglass.detection.scoring import latent_codes
from hourglass.networks.weights import load
from hourglass.stages.calibrate_threshold import calibrate_threshold
from hourglass.stages.train import train
from tests.workspaces import FakeRecorder, calibrated, lean, set_up, set_yaml, working_in

TABLE, IMAGES = ("breast_cancer", "linear"), ("digits", "undercomplete")
COLUMNS = ["query", "rank", "id", "split", "label", "anomaly", "distance"]


@pytest.fixture(scope="module")
def cells(tmp_path_factory) -> Path:
    """Give a working folder with a trained and calibrated cell of a table and one of images."""
    folder = set_up(tmp_path_factory.mktemp("search") / "workspace")
    with working_in(folder, FakeRecorder()):
        calibrated(TABLE, IMAGES)
    return folder


@pytest.fixture
def copied(cells, tmp_path) -> Iterator[Path]:
    """Work among copies of the cells, without an index."""
    ignore = shutil.ignore_patterns("reports")
    folder = Path(shutil.copytree(cells, tmp_path / "workspace", ignore=ignore))
    with working_in(folder):
        yield folder


@pytest.fixture(scope="module")
def everything(cells) -> pd.DataFrame:
    """Give all digits, their ids, splits, labels and codes, in the order of the splits."""
    prepared = Prepared.open(cells / "data/prepared/digits")
    network = load(cells / "runs" / Path(*IMAGES) / "train")
    frames = []
    for name in SPLITS:
        split = prepared.split(name)
        columns = {"id": split.id, "split": name, "label": split.label, "anomaly": split.anomaly}
        frame = pd.DataFrame(columns)
        frame["x"] = list(split.x)
        frame["code"] = list(latent_codes(network, split.x, prepared.scaling))
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def stacked(column: pd.Series) -> np.ndarray:
    return np.stack(column.to_list())


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"label": str})


def write_image(image: np.ndarray, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.round(image[0] * (255 / 16)).astype(np.uint8)).save(path)
    return path


def test_neighbours_of_a_file_equal_those_of_scikit_learn_on_the_codes(here, everything):
    np.savez(here / "new.npz", x=stacked(everything.x[::200]))
    table = read(search(*IMAGES, str(here / "new.npz"), top=7, out=here / "out.csv"))
    codes = stacked(everything.code)
    distances, places = NearestNeighbors(n_neighbors=7).fit(codes).kneighbors(codes[::200])
    assert list(table) == COLUMNS
    np.testing.assert_allclose(table.distance, distances.ravel(), atol=1e-4)
    assert table["rank"].tolist() == list(range(1, 8)) * len(places)
    assert table["query"][7] == "new.npz/1"
    columns = ["id", "split", "label", "anomaly"]
    expected = everything.iloc[places.ravel()][columns].reset_index(drop=True)
    pd.testing.assert_frame_equal(table[columns], expected)


def test_a_sample_of_any_split_is_found_but_not_for_itself(here, everything):
    name = str(everything.id.iloc[-3])
    table = read(search(*IMAGES, name, top=1000, out=here / "out.csv"))
    codes = stacked(everything.code)
    (places,) = NearestNeighbors(n_neighbors=6).fit(codes).kneighbors(codes[-3:-2], 6, False)
    assert table.id[:5].tolist() == everything.id[places[1:]].tolist()
    assert set(table["query"]) == {name}
    assert name not in set(table.id)
    assert set(table.split) == set(SPLITS)


def test_every_image_of_a_folder_is_a_query(here, everything):
    files = [write_image(everything.x[i], here / f"new/{i % 2}/{i}.png") for i in range(5)]
    whole = read(search(*IMAGES, str(here / "new"), top=3, out=here / "out.csv"))
    for i, file in enumerate(files):
        single = read(search(*IMAGES, str(file), top=3, out=here / "one.csv"))
        rows = whole[whole["query"] == f"{i % 2}/{i}.png"]
        assert rows.id.tolist() == single.id.tolist()
        assert rows.id.iloc[0] == everything.id[i]


def test_every_row_of_a_table_is_a_query_without_a_picture(cells, here):
    prepared = Prepared.open(cells / "data/prepared/breast_cancer")
    test = prepared.split("test")
    frame = pd.DataFrame(test.x[:9], columns=prepared.card["feature_names"])
    frame[frame.columns[::-1]].to_csv(here / "new.csv", index=False)
    table = read(search(*TABLE, str(here / "new.csv"), top=2, out=here / "out.csv"))
    assert table.id[::2].tolist() == test.id[:9].tolist()
    assert table["query"].tolist() == np.repeat(np.arange(1, 10), 2).tolist()
    assert sorted(path.name for path in here.iterdir()) == ["new.csv", "out.csv"]


def test_chunks_do_not_change_the_results(here, everything, monkeypatch):
    np.savez(here / "new.npz", x=stacked(everything.x[:10]))
    whole = read(search(*IMAGES, str(here / "new.npz"), out=here / "whole.csv"))
    monkeypatch.setattr("hourglass.data.readers.image_chunks.CHUNK_BYTES", 3 * 64)
    parts = read(search(*IMAGES, str(here / "new.npz"), out=here / "parts.csv"))
    pd.testing.assert_frame_equal(whole, parts, atol=1e-4)


def test_the_outputs_are_named_after_the_query_and_printed(copied, everything, capsys):
    file = write_image(everything.x[0], copied / "some.digit.png")
    assert search(*IMAGES, str(file), top=3) == Path("some.digit-neighbours.csv")
    assert search(*IMAGES, "digits/1", top=3) == Path("digits-1-neighbours.csv")
    with Image.open("digits-1-neighbours.png") as image:
        assert image.width > 200
    printed = capsys.readouterr().out
    assert f"3 nearest of {len(everything):,} samples in " in printed
    assert "digits-1-neighbours.png" in printed
    assert printed.count("digits/") == 6


# The index


def test_the_index_is_built_once_and_again_for_other_weights(copied, capsys):
    search(*IMAGES, "digits/1")
    assert "indexing digits" in capsys.readouterr().out
    search(*IMAGES, "digits/1")
    assert "indexing" not in capsys.readouterr().out
    set_yaml(copied / "configs/data/digits.yaml", "training", "max_epochs", value=1)
    with working_in(copied, FakeRecorder()):
        train(*IMAGES)
        calibrate_threshold(*IMAGES)
    search(*IMAGES, "digits/1")
    assert "from other weights or data: indexing digits" in capsys.readouterr().out


def test_a_damaged_index_is_built_again(copied, capsys):
    before = search(*IMAGES, "digits/1").read_bytes()
    file = copied / "reports/search/digits-undercomplete/index.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    assert search(*IMAGES, "digits/1").read_bytes() == before
    assert "is damaged (index.safetensors" in capsys.readouterr().out


def test_data_prepared_with_another_scaling_are_refused(copied, refusal):
    path = copied / "data/prepared/digits/card.json"
    card = read_with_checksum(path)
    card["scaling"]["scale"] = 17.0
    write_with_checksum(path, card)
    assert "run `dvc repro`" in refusal(search, *IMAGES, "digits/1")
    assert not Path("reports").exists()


# Refused queries


@pytest.mark.parametrize(
    ("query", "options", "message"),
    [
        ("digits/99999", {}, "digits/99999 is not a file, a folder or an id of digits"),
        ("digits/1", {"top": 0}, "top is 0"),
        ("digits/1", {"top": 1797}, "1,796 other samples"),
        ("digits/1", {"out": "out.xlsx"}, "out.xlsx"),
        ("new.png", {"top": 1798}, "top is 1798"),
        ("new.png", {"out": "new.csv"}, "would overwrite"),
        ("empty", {"out": "empty/new.csv"}, "would overwrite"),
        ("wide.png", {}, "9 x 8"),
        ("empty", {}, "holds no image"),
    ],
)
def test_an_invalid_query_is_refused(here, everything, refusal, query, options, message):
    write_image(everything.x[0], here / "new.png")
    Image.new("L", (9, 8)).save(here / "wide.png")
    (here / "empty").mkdir()
    query = query if query.startswith("digits/") else str(here / query)
    out = here / options.get("out", "out.csv")
    assert message in refusal(search, *IMAGES, query, **(options | {"out": out}))
    assert not list(here.glob("*.csv"))


def test_images_of_another_size_can_be_resized(here):
    Image.new("L", (9, 8)).save(here / "wide.png")
    table = read(search(*IMAGES, str(here / "wide.png"), resize=True, out=here / "out.csv"))
    assert len(table) == 10


def test_a_missing_value_is_refused(cells, here, refusal):
    names = Prepared.open(cells / "data/prepared/breast_cancer").card["feature_names"]
    frame = pd.DataFrame(np.ones((3, len(names))), columns=names)
    frame.loc[1, "mean area"] = np.nan
    frame.to_csv(here / "new.csv", index=False)
    sentence = refusal(search, *TABLE, str(here / "new.csv"), out=here / "out.csv")
    assert "'mean area'" in sentence
    assert "row 2" in sentence


def test_a_cell_that_is_not_calibrated_is_refused(copied, refusal):
    shutil.rmtree(copied / "runs/digits/undercomplete/calibrate")
    sentence = refusal(search, *IMAGES, "digits/1")
    assert "hourglass calibrate-threshold digits undercomplete" in sentence


@pytest.mark.slow  # it imports torch once more
def test_the_command_needs_neither_lightning_nor_mlflow(cells, here):
    lean(cells, "search", *TABLE, "breast_cancer/0", "--out", str(here / "out.csv"))
    assert len(read(here / "out.csv")) == 10
