"""Images that stay in their files: equal to packed ones, and refused if a file changed."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tifffile
import torch
from PIL import Image

from hourglass.cli.verify import verify
from hourglass.core.paths import Cell, prepared_folder
from hourglass.data.datamodule import DataModule
from hourglass.data.images import Images
from hourglass.data.lazy_array import LazyArray
from hourglass.data.prepare import prepare_data_set
from hourglass.data.prepared_data import SPLITS, Prepared
from hourglass.stages.calibrate_threshold import calibrate_threshold
from hourglass.stages.evaluate import evaluate
from hourglass.stages.train import train

NOWHERE = Path("no such folder")
RNG = np.random.default_rng(0)
PAGES = RNG.integers(0, 4096, (3, 8, 8), dtype=np.uint16)
KEYS = [0, -1, slice(2, None), slice(None, None, -2), [3, 1, 1], np.arange(6) % 2 == 0]
KEYS += [np.array([], int), (slice(0, 2), 0), ([1, 2], slice(None), slice(1, 3)), (0, 0), (..., 1)]


def write_bytes(folder: Path) -> None:
    for i in range(6):
        pixels = RNG.integers(0, 256, (9 + i % 2, 7, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")


def write_depths(folder: Path) -> None:
    """Write images of 16 bits, in files and pages, and one of 8 bits."""
    for i in range(2):
        pixels = RNG.integers(0, 4096, (8, 8), dtype=np.uint16)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    tifffile.imwrite(folder / "2.tif", PAGES, photometric="minisblack")
    Image.fromarray(RNG.integers(0, 256, (8, 8), dtype=np.uint8)).save(folder / "3.png")


def write_floats(folder: Path) -> None:
    for i in range(5):
        tifffile.imwrite(
            folder / f"{i}.tif", RNG.random((8, 8, 4), np.float32), photometric="minisblack"
        )
    Image.fromarray(RNG.integers(0, 256, (8, 8), dtype=np.uint8)).save(folder / "5.png")


@pytest.mark.parametrize(
    ("write", "settings"),
    [
        (write_bytes, {"size": 8, "grey": True}),
        (write_bytes, {}),
        (write_depths, {"fit": "crop", "size": [5, 6]}),
        (write_floats, {"skip_damaged": True}),
    ],
)
def test_they_are_the_packed_images(tmp_path, write, settings):
    write(tmp_path)
    if settings.get("skip_damaged"):
        (tmp_path / "5.png").unlink()
        (tmp_path / "4.tif").write_bytes(b"")
    packed, lazy = (
        Images(str(tmp_path), storage=storage, **settings).load(NOWHERE)
        for storage in ("packed", "files")
    )
    assert isinstance(lazy.x, LazyArray)
    assert lazy.full_scale == packed.full_scale
    assert lazy.x.dtype == packed.x.dtype
    np.testing.assert_array_equal(lazy.x, packed.x)


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_rows_are_selected_as_in_an_array(tmp_path, key):
    write_bytes(tmp_path)
    packed, lazy = (
        Images(str(tmp_path), storage=storage).load(NOWHERE).x for storage in ("packed", "files")
    )
    np.testing.assert_array_equal(lazy[key], packed[key])
    assert (lazy.shape, lazy.ndim, lazy.nbytes) == (packed.shape, packed.ndim, packed.nbytes)
    if not isinstance(key, int | tuple):
        np.testing.assert_array_equal(lazy.subset(key), packed[key])


def test_images_that_would_fill_the_disk_stay_in_their_files(tmp_path, monkeypatch):
    write_bytes(tmp_path)
    size = Images(str(tmp_path)).load(NOWHERE).x.nbytes
    for free, in_files in ((4 * size, False), (4 * size - 1, True)):
        monkeypatch.setattr("shutil.disk_usage", lambda path, n=free: SimpleNamespace(free=n))
        raw = Images(str(tmp_path)).load(NOWHERE)
        assert isinstance(raw.x, LazyArray) == in_files
        assert any("stay in their files" in note for note in raw.source["notes"]) == in_files


def test_an_unknown_storage_or_one_of_arrays_is_rejected(tmp_path, refusal):
    np.save(tmp_path / "x.npy", np.zeros((4, 5, 5), np.uint8))
    load = Images(str(tmp_path / "x.npy"), storage="files").load
    assert "omit `storage`" in refusal(load, NOWHERE)
    assert "'zip'" in refusal(Images(str(tmp_path), storage="zip").load, NOWHERE)


@pytest.fixture
def tiles(workspace, set_yaml):
    """Give two data sets of the same 60 images, `packed` and `files`."""
    folder = workspace / "data/own/tiles"
    for i in range(60):
        kind = "good" if i < 50 else "hole"
        pixels = RNG.normal(120, 9, (20, 20, 3)).clip(0, 255).astype(np.uint8)
        (folder / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / kind / f"{i}.png")
    for storage in ("packed", "files"):
        settings = {"path": "data/own/tiles", "normal": "good", "size": 16, "storage": storage}
        section = {"class_path": "hourglass.data.images.Images", "init_args": settings}
        for key, value in {**section, "training": {"max_epochs": 2}}.items():
            set_yaml(f"configs/data/{storage}.yaml", key, value=value)
        prepare_data_set(storage)
    return folder


@pytest.mark.parametrize("residency", ["auto", "stream"])
def test_batches_are_those_of_packed_images(tiles, residency):
    for epoch_of in ("train_dataloader", "val_dataloader"):
        batches = [
            torch.cat(list(getattr(DataModule(name, 7, 3, residency), epoch_of)()))
            for name in ("packed", "files")
        ]
        assert torch.equal(*batches)


def test_scores_are_those_of_packed_images(tiles):
    found = []
    for name in ("packed", "files"):
        cell = Cell(name, "convolutional")
        train(name, "convolutional")
        calibrate_threshold(name, "convolutional")
        metrics = json.loads(evaluate(name, "convolutional").read_text())
        scores = pd.read_parquet(cell.output("evaluate") / "scores.parquet")
        found.append((scores, metrics["AUROC"]))
    pd.testing.assert_frame_equal(found[0][0], found[1][0], check_exact=True)
    assert found[0][1] == found[1][1]


def test_a_rank_takes_its_own_images(tiles):
    data = DataModule("files", residency="stream")
    data.trainer = SimpleNamespace(
        global_rank=1,
        world_size=3,
        num_devices=3,
        strategy=SimpleNamespace(root_device=torch.device("cpu")),
    )
    rows = data.rows("train").x
    assert isinstance(rows, LazyArray)
    np.testing.assert_array_equal(rows, Prepared.open(prepared_folder("packed")).x("train")[1::3])


def test_prepared_data_hold_no_pixels(tiles):
    folder = prepared_folder("files")
    assert not [*folder.glob("*/x.npy")]
    card = Prepared.open(folder).card
    assert len(card["source"]["files"]) == 60
    assert sum(len(Prepared.open(folder).x(split)) for split in SPLITS) + card["unused"] == 60


def test_a_changed_or_missing_file_is_refused_by_name(tiles, refusal, capsys):
    verify("files")
    name = Prepared.open(prepared_folder("files")).split("train").id[0]
    file = tiles / name
    original = file.read_bytes()

    def read() -> np.ndarray:
        return np.asarray(Prepared.open(prepared_folder("files")).x("train"))

    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(file)
    assert f"data/own/tiles/{name} changed since" in refusal(read)
    refusal(verify, "files")
    assert f"data/own/tiles/{name} is not the file that was prepared" in capsys.readouterr().out
    file.unlink()
    assert f"data/own/tiles/{name} cannot be read" in refusal(read)
    refusal(verify, "files")
    file.write_bytes(original)
    assert len(read())
