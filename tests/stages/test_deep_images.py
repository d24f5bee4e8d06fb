"""Images of 16 bits and of floats through the stages, `score`, a scoring server and ONNX."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from hourglass.cli.score import score
from hourglass.core.paths import Cell, prepared_folder
from hourglass.data.prepared_data import Prepared, Samples
from hourglass.detection.detector import Detector
from hourglass.serving.requests import parse_request
from hourglass.stages.calibrate_threshold import calibrate_threshold
from hourglass.stages.prepare import prepare
from hourglass.stages.train import train
from tests.workspaces import FakeRecorder, set_up, set_yaml, working_in

CELL = Cell("mine", "convolutional")
WHITE = {"uint16": 4095, "float32": 1.0}
COUNT = 80


@pytest.fixture(scope="module", params=WHITE)
def cell(request, tmp_path_factory) -> tuple[Path, Detector, Samples]:
    """Give a workspace with a calibrated cell, its detector and the test split."""
    folder = set_up(tmp_path_factory.mktemp("deep") / "workspace", 2)
    rng, white = np.random.default_rng(0), WHITE[request.param]
    for i in range(COUNT):
        kind = "hole" if i % 8 == 0 else "good"
        pixels = rng.uniform(0.4, 0.6, (12, 10))
        pixels[3:7, 3:7] = 1 if kind == "hole" else pixels[3:7, 3:7]
        file = folder / f"data/own/images/{kind}/{i}.tif"
        file.parent.mkdir(parents=True, exist_ok=True)
        if request.param == "float32":
            tifffile.imwrite(file, pixels.astype(np.float32))
        else:
            Image.fromarray((pixels * white).astype(np.uint16)).save(file.with_suffix(".png"))
    init_args = {"path": "data/own/images", "normal": "good"}
    set_yaml(folder / "configs/data/mine.yaml", "class_path", value="hourglass.data.images.Images")
    set_yaml(folder / "configs/data/mine.yaml", "init_args", value=init_args)
    with working_in(folder, FakeRecorder()):
        prepare("mine")
        train("mine", "convolutional")
        calibrate_threshold("mine", "convolutional")
        test = Prepared.open(prepared_folder("mine")).split("test")
        return folder, Detector.of_cell(CELL), test


def test_pixels_keep_their_type_and_are_scaled_by_their_white(cell):
    _, detector, test = cell
    name = str(test.x.dtype)
    assert name in WHITE
    assert detector.full_scale == WHITE[name]
    assert 0.4 < np.median(detector.scoring.scaling(test.x)) < 0.6


def test_scored_files_have_the_scores_of_the_test_split(cell):
    folder, detector, test = cell
    with working_in(folder, FakeRecorder()):
        score("mine", "convolutional", Path("data/own/images"), Path("scores.csv"))
        scores = pd.read_csv("scores.csv").set_index("id").score
    np.testing.assert_allclose(scores[test.id], detector.scoring(test.x), rtol=1e-5)


def test_a_scoring_server_takes_pixels_of_their_type(cell, refusal):
    _, detector, test = cell
    x, body = test.x[:3], io.BytesIO()
    np.save(body, x)
    as_json = json.dumps({"inputs": x.tolist()}).encode()
    for content, kind in ((as_json, "application/json"), (body.getvalue(), "application/x-npy")):
        samples = parse_request(content, kind, detector).samples.x
        assert samples.dtype == x.dtype
        np.testing.assert_array_equal(samples, x)
    if x.dtype == np.uint16:  # small numbers in a wide type are no bytes, of which 255 is white
        body = io.BytesIO()
        np.save(body, (x % 200).astype(np.int64))
        samples = parse_request(body.getvalue(), "application/x-npy", detector).samples.x
        np.testing.assert_array_equal(samples, x % 200)
    for wrong in (-1, 70000, 0.5, "a", True) if x.dtype == np.uint16 else ("a", True, 1e300):
        request = json.dumps({"inputs": np.full(x.shape, wrong, object).tolist()}).encode()
        sentence = refusal(parse_request, request, "application/json", detector)
        assert sentence.startswith("the pixels of the request are ")


def test_the_onnx_file_gives_the_scores(cell, tmp_path):
    onnx_file = pytest.importorskip("hourglass.serving.onnx_export")
    pytest.importorskip("onnxscript", reason="the extra `onnx` is not installed")
    _, detector, test = cell
    (tmp_path / "detector.onnx").write_bytes(onnx_file.to_onnx(detector, {}).SerializeToString())
    onnx_file.verify(tmp_path / "detector.onnx", detector, np.asarray(test.x))
