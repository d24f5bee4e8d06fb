"""Command `search`: the nearest samples by code, for files and for samples of the data set."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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
from tests.cli import IMAGES, TABLE
from tests.cli.files import image_name, read_table, write_images, write_npz, write_table
from tests.workspaces import FakeRecorder, set_yaml, working_in


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
        codes = latent_codes(network, split.x, prepared.scaling)
        frames.append(pd.DataFrame(columns).assign(x=list(split.x), code=list(codes)))
    return pd.concat(frames, ignore_index=True)


@pytest.fixture
def neighbours(here) -> Callable[..., pd.DataFrame]:
    """Give a function that searches and reads the table."""

    def run(query: Path | str, cell: tuple[str, str] = IMAGES, **options: Any) -> pd.DataFrame:
        return read_table(search(*cell, str(query), out=here / "out.csv", **options))

    return run


def test_neighbours_of_a_file_equal_those_of_scikit_learn_on_the_codes(
    here, neighbours, everything
):
    codes, x = (np.stack(everything[name].to_list()) for name in ("code", "x"))
    table = neighbours(write_npz(x[::200], here), top=7)
    distances, places = NearestNeighbors(n_neighbors=7).fit(codes).kneighbors(codes[::200])
    columns = ["id", "split", "label", "anomaly"]
    assert list(table) == ["query", "rank", *columns, "distance"]
    np.testing.assert_allclose(table.distance, distances.ravel(), atol=1e-4)
    assert table["rank"].tolist() == list(range(1, 8)) * len(places)
    assert table["query"][7] == "new.npz/1"
    expected = everything.iloc[places.ravel()][columns].reset_index(drop=True)
    pd.testing.assert_frame_equal(table[columns], expected)


def test_a_sample_of_any_split_is_found_but_not_for_itself(neighbours, everything):
    name = str(everything.id.iloc[-3])
    table = neighbours(name, top=1000)
    codes = np.stack(everything.code.to_list())
    (places,) = NearestNeighbors(n_neighbors=6).fit(codes).kneighbors(codes[-3:-2], 6, False)
    assert table.id[:5].tolist() == everything.id[places[1:]].tolist()
    assert set(table["query"]) == {name}
    assert name not in set(table.id)
    assert set(table.split) == set(SPLITS)


def test_every_image_of_a_folder_is_a_query(here, neighbours, everything):
    folder = write_images(np.stack(everything.x[:5].to_list()), here / "new")
    whole = neighbours(folder, top=3)
    for i in range(5):
        single = neighbours(folder / image_name(i), top=3)
        rows = whole[whole["query"] == image_name(i)]
        assert rows.id.tolist() == single.id.tolist()
        assert rows.id.iloc[0] == everything.id[i]


def test_every_row_of_a_table_is_a_query_without_a_picture(here, neighbours, rows):
    table = neighbours(write_table(rows[:9], here / "new.csv"), TABLE, top=2)
    assert table.id[::2].tolist() == rows.name[:9].tolist()
    assert table["query"].tolist() == np.repeat(np.arange(1, 10), 2).tolist()
    assert sorted(path.name for path in here.iterdir()) == ["new.csv", "out.csv"]


def test_chunks_do_not_change_the_results(here, neighbours, images, monkeypatch):
    file = write_npz(images[:10], here)
    whole = neighbours(file)
    monkeypatch.setattr("hourglass.data.readers.numpy_files.CHUNK_BYTES", 3 * 64)
    pd.testing.assert_frame_equal(whole, neighbours(file), atol=1e-4)


def test_the_outputs_are_named_after_the_query_and_printed(copied, everything, images, capsys):
    file = write_images(images[:1], copied / "some.digits") / image_name(0)
    assert search(*IMAGES, str(file.parent), top=3) == Path("some-neighbours.csv")
    assert search(*IMAGES, "digits/1", top=3) == Path("digits-1-neighbours.csv")
    with Image.open("digits-1-neighbours.png") as image:
        assert image.width > 200
    printed = capsys.readouterr().out
    assert f"3 nearest of {len(everything):,} samples in " in printed
    assert "digits-1-neighbours.png" in printed
    assert printed.count("digits/") == 6


# The index


def test_the_index_is_built_once_and_again_if_it_cannot_be_used(copied, capsys):
    before = search(*IMAGES, "digits/1").read_bytes()
    assert "indexing digits" in capsys.readouterr().out
    search(*IMAGES, "digits/1")
    assert "indexing" not in capsys.readouterr().out
    file = copied / "reports/search/digits-undercomplete/index.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    assert search(*IMAGES, "digits/1").read_bytes() == before
    assert "is damaged (index.safetensors" in capsys.readouterr().out
    set_yaml(copied / "configs/data/digits.yaml", "training", "max_epochs", value=1)
    with working_in(copied, FakeRecorder()):
        train(*IMAGES)
        calibrate_threshold(*IMAGES)
    search(*IMAGES, "digits/1")
    assert "from other weights or data: indexing digits" in capsys.readouterr().out


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
        ("empty", {"out": "empty/new.csv"}, "in the folder of queries"),
        ("wide.png", {}, "9 x 8"),
        ("empty", {}, "holds no image"),
    ],
)
def test_an_invalid_query_is_refused(here, refusal, query, options, message):
    Image.new("L", (8, 8)).save(here / "new.png")
    Image.new("L", (9, 8)).save(here / "wide.png")
    (here / "empty").mkdir()
    query = query if query.startswith("digits/") else str(here / query)
    out = here / options.get("out", "out.csv")
    assert message in refusal(search, *IMAGES, query, **(options | {"out": out}))
    assert not list(here.glob("*.csv"))


def test_images_of_another_size_can_be_resized(here, neighbours):
    Image.new("L", (9, 8)).save(here / "wide.png")
    assert len(neighbours(here / "wide.png", resize=True)) == 10


def test_a_row_with_a_missing_value_is_searched(here, rows):
    gap = rows[:3].reset_index(drop=True)
    gap.loc[1, "mean area"] = np.nan
    file = write_table(gap, here / "new.csv")
    search(*TABLE, str(file), out=here / "out.csv")
    found = pd.read_csv(here / "out.csv")
    assert set(found["query"].astype(str)) == {"1", "2", "3"}
