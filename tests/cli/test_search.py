"""Search: the nearest by code of files and of the data set's own samples."""

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
from hourglass.data.prepared import SPLITS, Prepared
from hourglass.detection.scoring import latent_codes
from hourglass.networks.weights import load
from hourglass.stages.calibrate_threshold import calibrate_threshold
from hourglass.stages.train import train
from tests.workspaces import (
    FakeRecorder,
    calibrated,
    lean,
    set_up,
    set_yaml,
    working_in,
)

TABLE, PICTURES = ("breast_cancer", "linear"), ("digits", "undercomplete")
COLUMNS = ["query", "rank", "id", "split", "label", "anomaly", "distance"]


@pytest.fixture(scope="module")
def cells(tmp_path_factory) -> Path:
    """Give a working folder with a trained and calibrated cell of a table and one of images."""
    folder = set_up(tmp_path_factory.mktemp("search") / "workspace")
    with working_in(folder, FakeRecorder()):
        calibrated(TABLE, PICTURES)
    return folder


@pytest.fixture
def here(cells, tmp_path, monkeypatch) -> Iterator[Path]:
    """Work among the cells, where nothing is drawn; give a folder for files."""
    monkeypatch.setattr(
        "hourglass.evaluation.figures.save", lambda figure, path: path.write_text("undrawn")
    )
    with working_in(cells):
        yield tmp_path


@pytest.fixture
def copied(cells, tmp_path) -> Iterator[Path]:
    """Work among copies of the cells, which a test may change."""
    unindexed = shutil.ignore_patterns("reports")
    folder = Path(shutil.copytree(cells, tmp_path / "workspace", ignore=unindexed))
    with working_in(folder):
        yield folder


@pytest.fixture(scope="module")
def everything(cells) -> dict[str, np.ndarray]:
    """Give all digits, their ids and codes, in the order of the splits."""
    prepared = Prepared.open(cells / "data/prepared/digits")
    splits = [prepared.split(name) for name in SPLITS]
    x, ids = (np.concatenate([getattr(each, name) for each in splits]) for name in ("x", "id"))
    network = load(cells / "runs/digits/undercomplete")
    return {"x": x, "id": ids, "code": latent_codes(network, x, prepared.scaling)}


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"label": str})


def as_file(image: np.ndarray, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.round(image[0] * (255 / 16)).astype(np.uint8)).save(path)
    return path


# What is found.


def test_neighbours_of_a_file_are_those_of_scikit_learn_on_the_codes(here, everything):
    np.savez(here / "new.npz", x=everything["x"][::200])
    found = read(search(*PICTURES, str(here / "new.npz"), top=7, out=here / "out.csv"))
    expected = NearestNeighbors(n_neighbors=7).fit(everything["code"])
    distances, places = expected.kneighbors(everything["code"][::200])
    assert list(found) == COLUMNS
    assert found.id.tolist() == everything["id"][places.ravel()].tolist()
    np.testing.assert_allclose(found.distance, distances.ravel(), atol=1e-4)
    assert found["rank"].tolist() == list(range(1, 8)) * len(places)
    assert found["query"][7] == "new.npz/1"


def test_an_own_sample_is_named_by_its_id_and_no_neighbour_of_itself(here, everything):
    name = str(everything["id"][-3])
    found = read(search(*PICTURES, name, top=5, out=here / "out.csv"))
    expected = NearestNeighbors(n_neighbors=6).fit(everything["code"])
    (places,) = expected.kneighbors(everything["code"][-3:-2], return_distance=False)
    assert found.id.tolist() == everything["id"][places[1:]].tolist()
    assert set(found["query"]) == {name}


def test_splits_labels_and_anomalies_are_those_of_the_samples(cells, here, everything):
    path = search(*PICTURES, str(everything["id"][0]), top=1000, out=here / "out.csv")
    found = read(path).set_index("id")
    prepared = Prepared.open(cells / "data/prepared/digits")
    assert set(found.split) == set(SPLITS)
    for name in SPLITS:
        split = prepared.split(name)
        expected = pd.DataFrame({"label": split.label, "anomaly": split.anomaly}, index=split.id)
        ours = found[found.split == name]
        expected = expected.loc[ours.index]
        assert ours.label.tolist() == expected.label.tolist()
        assert ours.anomaly.tolist() == expected.anomaly.tolist()


def test_a_folder_of_images_is_answered_image_by_image(here, everything):
    files = [as_file(everything["x"][i], here / f"new/{i % 2}/{i}.png") for i in range(5)]
    whole = read(search(*PICTURES, str(here / "new"), top=3, out=here / "out.csv"))
    for i, file in enumerate(files):
        alone = read(search(*PICTURES, str(file), top=3, out=here / "one.csv"))
        ours = whole[whole["query"] == f"{i % 2}/{i}.png"]
        assert ours.id.tolist() == alone.id.tolist()
        assert ours.id.iloc[0] == everything["id"][i]


def test_a_table_is_answered_row_by_row_without_a_picture(cells, here):
    prepared = Prepared.open(cells / "data/prepared/breast_cancer")
    test = prepared.split("test")
    frame = pd.DataFrame(test.x[:9], columns=prepared.card["feature_names"])
    frame[frame.columns[::-1]].to_csv(here / "new.csv", index=False)
    found = read(search(*TABLE, str(here / "new.csv"), top=2, out=here / "out.csv"))
    assert found.id[::2].tolist() == test.id[:9].tolist()
    assert found["query"].tolist() == np.repeat(np.arange(1, 10), 2).tolist()
    assert sorted(each.name for each in here.iterdir()) == ["new.csv", "out.csv"]


def test_many_portions_are_as_one(here, everything, monkeypatch):
    np.savez(here / "new.npz", x=everything["x"][:10])
    whole = read(search(*PICTURES, str(here / "new.npz"), out=here / "whole.csv"))
    monkeypatch.setattr("hourglass.data.readers.image_chunks.BYTES", 3 * 64)
    parts = read(search(*PICTURES, str(here / "new.npz"), out=here / "parts.csv"))
    pd.testing.assert_frame_equal(whole, parts, atol=1e-4)


def test_a_contact_sheet_stands_beside_the_table(copied, everything, capsys):
    name = str(everything["id"][0])
    search(*PICTURES, name, top=3, out=Path("out.csv"))
    with Image.open("out.png") as image:
        assert image.width > 200
    printed = capsys.readouterr().out
    assert f"3 of {len(everything['id']):,} in " in printed
    assert "out.png" in printed
    assert printed.count("digits/") == 3


def test_without_out_the_table_is_named_after_the_query(copied, everything):
    file = as_file(everything["x"][0], copied / "some.digit.png")
    assert search(*PICTURES, str(file)) == Path("some.digit-neighbours.csv")
    assert search(*PICTURES, "digits/1") == Path("digits-1-neighbours.csv")
    assert Path("digits-1-neighbours.png").exists()


# The index.


def test_the_index_is_made_once_and_again_for_other_weights(copied, capsys):
    search(*PICTURES, "digits/1")
    assert "indexing digits" in capsys.readouterr().out
    search(*PICTURES, "digits/1")
    assert "indexing" not in capsys.readouterr().out
    set_yaml(copied / "configs/data/digits.yaml", "training", "max_epochs", value=1)
    with working_in(copied, FakeRecorder()):
        train(*PICTURES)
        calibrate_threshold(*PICTURES)
    search(*PICTURES, "digits/1")
    assert "of other weights or data: indexing digits" in capsys.readouterr().out


def test_a_damaged_index_is_made_again(copied, capsys):
    before = search(*PICTURES, "digits/1").read_bytes()
    file = copied / "reports/search/digits-undercomplete/index.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    assert search(*PICTURES, "digits/1").read_bytes() == before
    reason = "index.safetensors is corrupt: its checksum does not match"
    assert f"is damaged ({reason})" in capsys.readouterr().out


def test_data_prepared_with_another_scaling_are_refused(copied, refusal):
    path = copied / "data/prepared/digits/card.json"
    card = read_with_checksum(path)
    card["scaling"]["scale"] = 17.0
    write_with_checksum(path, card)
    assert "run `dvc repro`" in refusal(search, *PICTURES, "digits/1")
    assert not Path("reports").exists()


# What is refused.


@pytest.mark.parametrize(
    ("query", "options", "named"),
    [
        ("digits/99999", {}, "digits/99999 is no file, no folder and no id of digits"),
        ("digits/1", {"top": 0}, "top is 0"),
        ("digits/1", {"top": 1797}, "1,796 other samples"),
        ("new.png", {"top": 1798}, "top is 1798"),
        ("new.png", {"out": Path("new.csv")}, "not apart"),
        ("empty", {"out": Path("empty/new.csv")}, "not apart"),
        ("digits/1", {"out": Path("out.xlsx")}, "out.xlsx"),
        ("wide.png", {}, "9 x 8"),
        ("empty", {}, "holds no image"),
    ],
)
def test_what_cannot_be_found_is_refused(
    here, everything, refusal, monkeypatch, query, options, named
):
    as_file(everything["x"][0], here / "new.png")
    Image.new("L", (9, 8)).save(here / "wide.png")
    (here / "empty").mkdir()
    if (here / query).exists():
        query, options = (
            str(here / query),
            {"out": here / options.get("out", "out.csv")}
            | {key: value for key, value in options.items() if key != "out"},
        )
    assert named in refusal(search, *PICTURES, query, **options)
    assert not list(here.glob("*.csv"))


def test_another_size_is_resized_where_asked_for(here):
    Image.new("L", (9, 8)).save(here / "wide.png")
    found = read(search(*PICTURES, str(here / "wide.png"), resize=True, out=here / "out.csv"))
    assert len(found) == 10


def test_an_empty_cell_is_refused(cells, here, refusal):
    names = Prepared.open(cells / "data/prepared/breast_cancer").card["feature_names"]
    frame = pd.DataFrame(np.ones((3, len(names))), columns=names)
    frame.loc[1, "mean area"] = np.nan
    frame.to_csv(here / "new.csv", index=False)
    sentence = refusal(search, *TABLE, str(here / "new.csv"), out=here / "out.csv")
    assert "'mean area'" in sentence
    assert "row 2" in sentence


def test_a_cell_that_was_not_calibrated_is_refused(copied, refusal):
    (copied / "runs/digits/undercomplete/calibrate/detector.json").unlink()
    sentence = refusal(search, *PICTURES, "digits/1")
    assert "hourglass calibrate-threshold digits undercomplete" in sentence


@pytest.mark.slow  # it imports torch once more
def test_the_command_needs_neither_lightning_nor_mlflow(cells, here):
    lean(cells, "search", *TABLE, "breast_cancer/0", "--out", str(here / "out.csv"))
    assert len(read(here / "out.csv")) == 10
