"""A cell of the feature autoencoder in the stages, and the commands that use its detector."""

import base64
import importlib.util
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hourglass.cli.drift import drift
from hourglass.cli.label_errors import label_errors
from hourglass.cli.search import search
from hourglass.core.paths import Cell
from hourglass.data.prepared_data import Prepared
from hourglass.detection.defects import defects_of_map
from hourglass.detection.detector import Detector
from hourglass.detection.scoring import latent_codes, reconstructions
from hourglass.serving.pyfunc import DetectorModel
from hourglass.serving.server import respond
from hourglass.stages.baselines import baselines
from hourglass.stages.compare import compare
from hourglass.stages.prepare import prepare
from hourglass.stages.snapshot import snapshot
from tests.stages.cells import run_cell
from tests.workspaces import FakeRecorder, set_up, set_yaml, working_in

pytestmark = pytest.mark.slow
DATA, MODEL = "masked", "feature"
CELL = Cell(DATA, MODEL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Return a workspace in which a cell of features of images has passed all stages."""
    folder = set_up(tmp_path_factory.mktemp("features") / "workspace", 20)
    path = folder / f"configs/data/{DATA}.yaml"
    set_yaml(path, "class_path", value="tests.evaluation.masked_images.MaskedImages")
    set_yaml(path, "init_args", value={"count": 160, "side": 32})
    set_yaml(folder / f"configs/model/{MODEL}.yaml", "init_args", "latent_dim", value=8)
    set_yaml(folder / "params.yaml", "trusted_modules", value=["tests"])
    set_yaml(folder / "params.yaml", "data", value=[DATA])
    set_yaml(folder / "params.yaml", "models", value=[MODEL])
    with working_in(folder, FakeRecorder()):
        prepare(DATA)
        run_cell(DATA, MODEL)
        baselines(DATA)
        compare()
    return folder


@pytest.fixture
def inside(folder):
    with working_in(folder, FakeRecorder()):
        yield folder


@pytest.fixture
def detector(inside) -> Detector:
    return Detector.of_cell(CELL)


@pytest.fixture
def test_images(inside) -> np.ndarray:
    return Prepared.open(CELL.prepared).x("test")


def test_the_leaderboard_has_pixel_metrics_of_the_cell_and_of_baselines_on_its_features(folder):
    table = pd.read_csv(folder / "reports/leaderboard.csv").set_index("model")
    names = [MODEL, "padim", "feature_neighbours"]
    assert (table.loc[names, "AUROC"] > 0.9).all()
    assert (table.loc[names, "pixel_AUROC"] > 0.8).all()
    assert table.loc[names, ["pixel_AP", "AUPRO"]].notna().all(axis=None)
    assert table.loc[names[1:], "baseline"].all()
    assert table.loc[MODEL, "latent_dim"] == 8


def test_cells_and_baselines_share_the_features_of_a_split(folder):
    shapes = [np.load(p, mmap_mode="r").shape[0] for p in (folder / "runs/.features").iterdir()]
    card = json.loads((folder / f"data/prepared/{DATA}/card.json").read_text())
    counts = {k: sum(v for n, v in s.items() if n != "classes") for k, s in card["splits"].items()}
    used = ("train", "validation", "calibration", "test")
    assert sorted(shapes) == sorted(counts[name] for name in used)


def test_the_detector_needs_neither_the_package_nor_a_file_of_weights(
    inside, test_images, monkeypatch
):
    expected = Detector.of_cell(CELL).scoring(test_images)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert np.array_equal(Detector.of_cell(CELL).scoring(test_images), expected)


def test_contributions_are_highest_where_the_defects_are(detector, test_images, inside):
    mask = Prepared.open(CELL.prepared).split("test").mask
    contributions = detector.contributions(test_images)[:, 0]
    assert contributions.shape == mask.shape
    assert contributions[mask].mean() > contributions[~mask].mean() + 1


def test_codes_are_searched(inside):
    table = pd.read_csv(search(DATA, MODEL, "made/1", top=3))
    assert len(table) == 3


def test_a_reconstruction_of_images_is_refused(detector, test_images, refusal):
    scoring = detector.scoring
    assert "features" in refusal(reconstructions, scoring.network, test_images, scoring.scaling)
    assert latent_codes(scoring.network, test_images, scoring.scaling).shape[1] == 8


def test_an_onnx_file_gives_the_same_scores(detector, test_images, tmp_path):
    onnx_export = pytest.importorskip("hourglass.serving.onnx_export")
    pytest.importorskip("onnxscript", reason="the extra `onnx` is not installed")
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx_export.to_onnx(detector, {}).SerializeToString())
    assert onnx_export.verify(path, detector, test_images)


def test_a_served_png_has_the_score_the_map_and_the_defects_of_the_detector(detector, test_images):
    file = io.BytesIO()
    image = test_images[-1:]
    Image.fromarray(image[0, 0]).save(file, "PNG")
    response = respond(DetectorModel(detector), file.getvalue(), "image/png", {"map": "png"})
    (found,) = json.loads(response.response)["predictions"]
    assert found["score"] == pytest.approx(detector.scoring(image)[0], rel=1e-5)
    alarms = detector.pixel_alarms
    anomaly_map = next(detector.anomaly_maps(image))[0]
    expected = defects_of_map(anomaly_map, alarms.require_threshold(), alarms.min_area)
    assert [each["area"] for each in found["defects"]] == [each.area for each in expected]
    with Image.open(io.BytesIO(base64.b64decode(found["map"]))) as drawn:
        assert drawn.size == image.shape[:1:-1]


def test_the_drift_of_other_images_is_found(inside, test_images, tmp_path):
    np.savez(tmp_path / "other.npz", x=255 - test_images)
    report = json.loads(drift(DATA, MODEL, tmp_path / "other.npz").read_text())
    assert report["kolmogorov_smirnov"]["p_value"] < 0.01


def test_the_snapshot_depends_on_the_trained_variant_and_the_features(inside):
    snapshot()
    train = inside / f"runs/.snapshot/{CELL.name}/train.json"
    before, baseline = train.read_text(), json.loads(
        (inside / "runs/.snapshot/baselines.json").read_text()
    )  # fmt: skip
    assert baseline["features"]["models"][MODEL]["init_args"]["latent_dim"] == 8
    path = inside / f"configs/model/{MODEL}.yaml"
    text = path.read_text()
    set_yaml(path, "init_args", "variant", value={"class_path": "hourglass.models.Denoising"})
    snapshot()
    path.write_text(text)
    assert train.read_text() != before


def test_label_errors_of_images_are_ranked_by_errors_of_their_features(inside):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 60, (48, 1, 32, 32), dtype=np.uint8)
    x[24:, :, ::4] += 150  # stripes
    y = np.array(["plain"] * 24 + ["striped"] * 24)
    y[3] = "striped"
    Path("data/own").mkdir(parents=True, exist_ok=True)
    np.savez("data/own/textures.npz", x=x, y=y)
    path = Path("configs/data/textures.yaml")
    set_yaml(path, "class_path", value="hourglass.data.images.Images")
    set_yaml(
        path, "init_args", value={"path": "data/own/textures.npz", "normal": ["plain", "striped"]}
    )
    prepare("textures")
    ranked = pd.read_csv(label_errors("textures", MODEL, folds=2))
    assert ranked.iloc[0][["label", "suspected"]].tolist() == ["striped", "plain"]
