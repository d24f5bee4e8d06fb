"""Images of different sizes with `fit: tile` are read, trained on, scored and evaluated."""

import json
from pathlib import Path

import numpy as np
import pyarrow.csv
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from hourglass.cli.restore import restore
from hourglass.cli.score import score
from hourglass.core.errors import UserError
from hourglass.core.paths import Cell
from hourglass.data.images import Images
from hourglass.data.prepared_data import Prepared
from hourglass.data.tiling import INSIDE
from hourglass.detection.detector import Detector
from hourglass.stages.baselines import baselines
from hourglass.stages.evaluate import evaluate
from tests.workspaces import FakeRecorder, calibrated, set_up, set_yaml, working_in

CELL = ("parts", "convolutional")


def write_pictures(folder: Path, kind: str, count: int, defect: bool = False) -> Path:
    """Write grey images of different sizes, 24 x 32 pixels or more, below a folder."""
    rng = np.random.default_rng(count)
    (folder / kind).mkdir(parents=True)
    for i in range(count):
        height, width = 24 + 4 * (i % 3), 40 - 4 * (i % 2)
        pixels = rng.normal(128, 12, (height, width)).clip(0, 255).astype(np.uint8)
        if defect:
            pixels[3:9, -9:-3] = 255
        Image.fromarray(pixels).save(folder / kind / f"{i}.png")
        if defect:
            mask = folder / "ground_truth" / Path(kind).name / f"{i}_mask.png"
            mask.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.where(pixels == 255, 255, 0).astype(np.uint8)).save(mask)
    return folder


def loaded() -> Detector:
    return Detector.of_cell(Cell(*CELL))


def parts(folder: Path) -> Path:
    write_pictures(folder, "train/good", 60)
    write_pictures(folder, "test/good", 12)
    return write_pictures(folder, "test/scratch", 8, defect=True)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Path:
    """Give a working folder with a calibrated cell of images in tiles of 16 x 20 pixels."""
    folder = set_up(tmp_path_factory.mktemp("tiles") / "workspace", epochs=2)
    parts(folder / "parts")
    path = folder / "configs/data/parts.yaml"
    set_yaml(path, "class_path", value="hourglass.data.images.Images")
    set_yaml(path, "init_args", value={"path": "parts", "size": [16, 20], "fit": "tile"})
    set_yaml(path, "model", value={"latent_dim": 4, "channels": [4, 8]})
    set_yaml(path, "training", value={"batch_size": 32, "max_epochs": 2})
    set_yaml(folder / "params.yaml", "calibration", "init_args", value={"alpha": 0.2})
    set_yaml(folder / "params.yaml", "pixel_threshold", value={"image_rate": 0.2})
    with working_in(folder, FakeRecorder()):
        calibrated(CELL)
    return folder


def test_images_keep_their_sizes_and_masks(tmp_path):
    raw = Images(str(parts(tmp_path)), size=16, fit="tile").load(Path())
    assert raw.x.shape == (80, 2, 32, 40)
    for name, x, mask in zip(raw.id, raw.x, raw.mask, strict=True):
        pixels = np.asarray(Image.open(tmp_path / name))
        height, width = pixels.shape
        np.testing.assert_array_equal(x[0, :height, :width], pixels)
        assert (x[1] == INSIDE).sum() == height * width
        assert (x[1, :height, :width] == INSIDE).all()
        if "scratch" in name:
            assert mask[:height, :width][pixels == 255].all()
            assert mask.sum() == (pixels == 255).sum()


def test_a_tile_needs_a_size(tmp_path):
    with pytest.raises(UserError, match="`fit: tile` needs `size`"):
        Images(str(write_pictures(tmp_path, "good", 3)), fit="tile").load(Path())


def test_images_of_any_size_are_scored_as_in_the_test_split(workspace):
    with working_in(workspace, FakeRecorder()):
        table = pyarrow.csv.read_csv(score(*CELL, Path("parts/test"))).to_pylist()
        test, detector = Prepared.open(Cell(*CELL).prepared).split("test"), loaded()
        expected = dict(zip(test.id.tolist(), detector.scoring(test.x), strict=True))
        assert len(table) == len(expected) == 20
        for row in table:
            assert row["score"] == pytest.approx(expected[f"test/{row['id']}"], rel=1e-5)
        Image.new("L", (7, 90)).save("narrow.png")  # smaller than a tile
        assert pyarrow.csv.read_csv(score(*CELL, Path("narrow.png"))).num_rows == 1
        np.savez("deep.npz", x=np.zeros((2, 30, 30, 3), np.uint8))
        with pytest.raises(UserError, match="channels"):
            score(*CELL, Path("deep.npz"))


def test_all_stages_take_images_in_tiles(workspace):
    with working_in(workspace, FakeRecorder()):
        summary = json.loads(evaluate(*CELL).read_text("utf-8"))
        test, detector = Prepared.open(Cell(*CELL).prepared).split("test"), loaded()
        maps = np.concatenate(list(detector.anomaly_maps(test.x)))
        inside = test.x[:, 1] == INSIDE  # no pixel of the padding is evaluated
        expected = roc_auc_score(test.mask[inside], maps[inside])
        assert summary["pixel_AUROC"] == pytest.approx(expected)
        normal = inside & ~test.anomaly[:, None, None]
        rate = (maps[normal] > detector.pixel_alarms.require_threshold()).mean()
        assert summary["pixel_false_alarm_rate"] == pytest.approx(rate)
        assert baselines(CELL[0]).exists()
        out = restore(*CELL, Path("parts/test/good"))
        assert Image.open(out / "2.png").size == (40, 32)
