"""Everyday files of images that users have, collected in cases/images beside the raw data."""

import os
import shutil
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image, ImageOps

from hourglass.core.yaml_config import build
from hourglass.data.base import DataSet, Raw
from hourglass.data.copies import copies_note
from hourglass.data.images import Images
from hourglass.data.prepare import split_samples

CASES = Path(os.environ.get("HOURGLASS_DATA", "")).parent / "cases/images"
pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not CASES.is_dir(), reason="the collected cases are not there"),
]


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Return a function that loads a data set of a case, by the settings of the case."""

    def load(case: str, data: str) -> tuple[Raw, Path]:
        (folder,) = CASES.glob(f"{case}-*")
        (tmp_path / "data").mkdir(exist_ok=True)
        shutil.copytree(folder / "own", tmp_path / "data/own", dirs_exist_ok=True)
        monkeypatch.chdir(tmp_path)
        config = yaml.safe_load((folder / f"configs/data/{data}.yaml").read_text())
        section = {key: config[key] for key in ("class_path", "init_args")}
        dataset: DataSet = build(section, DataSet, data)
        return dataset.load(tmp_path), tmp_path / section["init_args"]["path"]

    return load


def test_the_layout_of_mvtec_is_read_with_its_masks(load):
    raw, _ = load("01", "bottle")
    assert len(raw.x) == 20
    assert raw.official_test.sum() == 8
    assert (raw.mask.any(axis=(1, 2)) == raw.anomaly).all()
    assert raw.anomaly.sum() == 4


@pytest.mark.parametrize(
    ("case", "data"), [("02", "rgb16"), ("03", "deep_png"), ("03", "deep_tiff")]
)
def test_pixels_of_twelve_bits_are_scaled(load, case, data):
    raw, _ = load(case, data)
    assert raw.x.dtype == np.uint16
    assert raw.full_scale == 4095
    assert raw.x.max() > 2000


def test_photographs_are_upright(load):
    raw, folder = load("04", "exif")
    with Image.open(folder / raw.id[0]) as image:
        upright = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    assert (raw.x[0] == upright.transpose(2, 0, 1)).all()
    assert load("04", "exif_sized")[0].x.shape[2:] == (16, 16)


def test_sizes_keep_the_aspect_ratio(load):
    raw, _ = load("06", "wide")
    assert raw.x.shape[2:] == (16, 16)
    rows = np.ptp(raw.x.astype(int), axis=2)  # padded rows repeat the border
    assert (raw.x[:, :, :5] == raw.x[:, :, :1]).all()
    assert rows.any()
    assert "padded" in load("06", "mixed")[0].source["notes"][0]


@pytest.mark.parametrize(
    ("data", "white", "tests"), [("npzfloat", 1, 0), ("kerasnpz", 255, 8), ("ycolumn", 255, 0)]
)
def test_arrays_of_any_type_and_names_are_read(load, data, white, tests):
    raw, _ = load("07", data)
    assert len(raw.x) == 26
    assert raw.full_scale == white
    assert raw.anomaly.sum() == 6
    assert (0 if raw.official_test is None else raw.official_test.sum()) == tests


def test_copies_stay_in_one_split_and_those_under_two_labels_are_counted(load):
    _, folder = load("12", "dups")
    samples, card = split_samples(Images(str(folder), normal="good"), folder, 0)
    splits_of = defaultdict(set)
    for split, part in samples.items():
        for image, anomaly in zip(part.x, part.anomaly, strict=True):
            splits_of[image.tobytes()].add((split, anomaly))
    for places in splits_of.values():
        assert len({split for split, anomaly in places if not anomaly}) <= 1
    two_labels = [places for places in splits_of.values() if len({a for _, a in places}) == 2]
    assert card["copies"]["copies"] == 26 - len(splits_of) == 8
    assert card["copies"]["normal_and_anomalous"] >= len(two_labels) == 1
    assert "normal ones equal an anomaly" in copies_note(card)


@pytest.mark.parametrize(
    ("data", "labels"),
    [
        ("nested", {"bad", "good"}),
        ("flat", {"normal"}),
        ("macosx", {"good", "scratch"}),
        ("good_only", {"good"}),
    ],
)
def test_folders_of_any_layout_are_read(load, data, labels):
    raw, _ = load("17", data)
    assert {*raw.label} == labels
    assert raw.anomaly.any() == (len(labels) > 1)
