"""Requests with images as bytes of files or in base64, and answers with maps and defects."""

import base64
import io
import json
import time
import tracemalloc
import zlib
from dataclasses import replace
from http import HTTPStatus
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
import torch
from PIL import Image
from scipy.ndimage import label

from hourglass.data.readers.chunks import read_chunks
from hourglass.detection.anomaly_maps import MapSettings
from hourglass.detection.detector import Detector
from hourglass.detection.pixel_threshold import PixelAlarms
from hourglass.detection.threshold import Threshold
from hourglass.networks import Dense
from hourglass.serving.pyfunc import DetectorModel
from hourglass.serving.request_limits import PIXELS_VARIABLE, Limits
from hourglass.serving.requests import parse_request
from hourglass.serving.server import respond
from tests.detection.detectors import detector

JSON, PNG = "application/json", "image/png"
SHAPE = (3, 10, 12)
PIXELS = np.random.default_rng(4).integers(0, 256, (20, 30, 3), dtype=np.uint8) // 4
PIXELS[5:15, 4:12], PIXELS[8:, 20:] = 255, 200
TOO_LARGE = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


def made(**images: Any) -> Detector:
    """Return a detector of images that are scaled to SHAPE, with a pixel threshold."""
    torch.manual_seed(0)
    found = detector(Dense(SHAPE, 2, bounded=True))
    form = {"size": list(SHAPE[1:]), "fit": "pad", "grey": False, "background": "white"}
    maps = next(found.anomaly_maps(np.random.default_rng(1).integers(0, 256, (50, *SHAPE))))
    threshold = Threshold(float(np.quantile(maps, 0.5)), "conformal", {"image_rate": 0.05}, 50)
    alarms = PixelAlarms(MapSettings(), threshold)
    return replace(found, inputs=found.inputs | {"images": form | images}, pixels=alarms)


@pytest.fixture(scope="module")
def model() -> DetectorModel:
    return DetectorModel(made())


@pytest.fixture(scope="module")
def native() -> DetectorModel:
    """Give a model of images of one size."""
    return DetectorModel(made(size=None))


def file_of(image: Image.Image, suffix: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper()), **options)
    return file.getvalue()


def as_json(**content: Any) -> bytes:
    return json.dumps(content).encode()


def base64_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


def answer(model: DetectorModel, *request: Any) -> list[dict[str, Any]]:
    response = respond(model, *request)
    assert response.status == HTTPStatus.OK, response.response
    found: list[dict[str, Any]] = json.loads(response.response)["predictions"]
    return found


def message(response: Any, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> str:
    sentence: str = json.loads(response.response)["message"]
    assert response.status == status, sentence
    assert sentence.endswith(".")
    assert not any(text in sentence for text in (". ", "\n", "Traceback", " at 0x"))
    return sentence


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[274] = 6
    return exif


RGB = Image.fromarray(PIXELS)
FILES = {
    "a.png": file_of(RGB, "png"),
    "on its side.jpg": file_of(RGB, "jpg", exif=turned()),
    "palette.png": file_of(RGB.convert("P"), "png"),
    "alpha.png": file_of(RGB.convert("RGBA").resize((9, 9)), "png"),
    "grey.tif": file_of(RGB.convert("L"), "tif"),
    "cmyk.jpg": file_of(RGB.convert("CMYK"), "jpg"),
    "a.bmp": file_of(RGB, "bmp"),
    "a.webp": file_of(RGB, "webp"),
}
MEDIA_TYPES = {"png": PNG, "jpg": "image/jpeg", "tif": "image/tiff", "bmp": "image/bmp"}


@pytest.mark.parametrize("name", FILES)
def test_an_image_is_read_as_score_reads_its_file(model, tmp_path, name):
    (tmp_path / name).write_bytes(FILES[name])
    (expected,) = read_chunks(tmp_path / name, model.detector, None, False)
    media_type = MEDIA_TYPES.get(name[-3:], "image/webp")
    for body, kind in (
        (FILES[name], media_type),
        (as_json(images=[base64_of(FILES[name])]), JSON),
    ):
        found = parse_request(body, kind, model.detector).samples
        np.testing.assert_array_equal(found.x, expected.x)


@pytest.mark.parametrize("pixels", [PIXELS.astype(np.uint16) * 16, PIXELS[..., 0] * 16.5])
def test_images_of_more_bits_keep_them(tmp_path, pixels):
    kind = np.dtype(np.uint16 if pixels.dtype == np.uint16 else np.float32)
    shape = (pixels.shape[2] if pixels.ndim == 3 else 1, *pixels.shape[:2])
    deep = detector(Dense(shape, 2))
    inputs = deep.inputs | {"dtype": str(kind), "images": {"grey": shape[0] == 1}}
    deep = replace(deep, inputs=inputs)
    tifffile.imwrite(tmp_path / "a.tif", pixels.astype(kind))
    (expected,) = read_chunks(tmp_path / "a.tif", deep, None, False)
    assert expected.x.max() > 255
    content = (tmp_path / "a.tif").read_bytes()
    lists = as_json(inputs=[pixels.astype(kind).tolist()])
    for body, media_type in ((content, "image/tiff"), (lists, JSON)):
        found = parse_request(body, media_type, deep).samples.x
        np.testing.assert_array_equal(found, expected.x)
        assert found.dtype == kind


TWO = [base64_of(FILES["a.png"]), base64_of(FILES["a.bmp"])]
FORMS = {
    "images": as_json(images=TWO),
    "inputs": as_json(inputs=TWO),
    "an object per row": as_json(dataframe_records=[{"image": text} for text in TWO]),
    "a column": as_json(inputs={"image": TWO}),
    "split": as_json(dataframe_split={"columns": ["image"], "data": [[text] for text in TWO]}),
}


@pytest.mark.parametrize("form", FORMS)
def test_several_images_come_in_base64(model, form):
    first, second = answer(model, FORMS[form], JSON)
    (alone,) = answer(model, FILES["a.png"], PNG)
    assert list(alone) == ["score", "threshold", "alarm", "p_value"]
    assert first["score"] == pytest.approx(alone["score"], rel=1e-5)
    assert second["score"] == pytest.approx(alone["score"], rel=1e-5)


@pytest.mark.parametrize(
    "made_of",
    [
        lambda files: pd.DataFrame({"image": files}, index=["u", "v"]),
        lambda files: pd.DataFrame({"image": [base64_of(file) for file in files]}),
        lambda files: files,
        lambda files: np.array(files, object),
    ],
)
def test_the_python_model_takes_a_column_of_bytes_or_base64(model, made_of):
    files = [FILES["a.png"], FILES["grey.tif"]]
    samples = made_of(files)
    found = model.predict(samples, {"map": True})
    expected = [answer(model, file, PNG, {"map": "png"})[0] for file in files]
    np.testing.assert_allclose(found.score, [each["score"] for each in expected], rtol=1e-5)
    assert found["map"].tolist() == [each["map"] for each in expected]
    assert found.index.tolist() == (
        samples.index.tolist() if isinstance(samples, pd.DataFrame) else [0, 1]
    )


@pytest.mark.parametrize("asked", ["URL", "field"])
def test_maps_and_defects_come_if_they_are_asked_for(model, asked):
    if asked == "URL":
        (found,) = answer(model, FILES["a.png"], PNG, {"map": "png"})
    else:
        found, _ = answer(model, as_json(images=TWO, map=True), JSON)
    x = parse_request(FILES["a.png"], PNG, model.detector).samples.x
    anomaly_map = next(model.detector.anomaly_maps(x))[0]
    threshold = model.detector.pixel_alarms.require_threshold()
    assert found["pixel_threshold"] == threshold
    with Image.open(io.BytesIO(base64.b64decode(found["map"]))) as image:
        assert image.format == "PNG"
        drawn = np.asarray(image)
    expected = np.clip(anomaly_map / (2 * threshold), 0, 1)
    np.testing.assert_allclose(drawn / 255, expected, atol=0.51 / 255)
    regions, count = label(drawn > 127, np.ones((3, 3)))
    assert len(found["defects"]) == count > 0
    areas = sorted(np.bincount(regions.ravel())[1:].tolist())
    assert sorted(defect["area"] for defect in found["defects"]) == areas
    assert set(found["defects"][0]) >= {"area", "x", "y", "width", "height", "score"}


def test_a_map_without_a_pixel_threshold_is_refused_with_the_reason():
    refused = PixelAlarms(MapSettings(), None, 1, "pixel_threshold needs 99 normal images.")
    found = DetectorModel(replace(made(), pixels=refused))
    assert "needs 99" in message(respond(found, FILES["a.png"], PNG, {"map": "png"}))
    answer(found, FILES["a.png"], PNG)


def bomb(height: int, width: int) -> bytes:
    """Return a small PNG that declares many pixels."""

    def part(kind: bytes, content: bytes) -> bytes:
        check = zlib.crc32(kind + content).to_bytes(4, "big")
        return len(content).to_bytes(4, "big") + kind + content + check

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\x00\x00\x00"
    rows = zlib.compress(bytes(1 << 16))
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", rows) + part(b"IEND", b"")


SMALL = base64_of(file_of(Image.new("L", (1, 1)), "png"))
BOMBS = {
    "a large image": (bomb(9000, 9000), PNG, Limits()),
    "a huge image": (bomb(1 << 30, 1 << 30), PNG, Limits()),
    "a very wide image": (bomb(1, 1 << 30), PNG, Limits()),
    "many images": (as_json(images=[base64_of(bomb(4096, 4096))] * 5), JSON, Limits()),
    "many that grow": (as_json(images=[SMALL] * 20_000), JSON, Limits(pixels=1 << 21)),
    "an array that grows": (as_json(inputs=[[[[0]]] * 3] * 20_000), JSON, Limits(pixels=1 << 21)),
}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_decompression_bomb_is_refused_before_it_is_decoded(model, name):
    body, kind, limits = BOMBS[name]
    start = time.process_time()
    tracemalloc.start()
    response = respond(DetectorModel(model.detector, limits), body, kind)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "pixels" in message(response, TOO_LARGE)
    assert time.process_time() - start < 5  # of 20,000 images; tracing slows it tenfold
    assert peak_bytes < 32 << 20


PAGES = file_of(RGB, "tif", save_all=True, append_images=[RGB, RGB])
FOUR = io.BytesIO()
tifffile.imwrite(FOUR, np.zeros((9, 9, 4), np.uint8), photometric="minisblack", planarconfig=1)
BAD = [
    (b"", PNG, "cannot be read as an image"),
    (b"abc", PNG, "cannot be read as an image"),
    (b"<svg xmlns='http://www.w3.org/2000/svg'/>", PNG, "cannot be read as an image"),
    (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "image/jpeg", "cannot be read"),
    (FILES["a.png"][:200], PNG, "cannot be read as an image"),
    (FILES["grey.tif"][:50], "image/tiff", "cannot be read as an image"),
    (PAGES, "image/tiff", "has 3 pages"),
    (FOUR.getvalue(), "image/tiff", "has 4 channels where 3 are needed"),
    (as_json(images=["https://example.org/a.png"]), JSON, "not base64"),
    (as_json(images=[TWO[0], "abc"]), JSON, "image 2 of the request is 'abc', not base64"),
    (as_json(images=[TWO[0], 7]), JSON, "image 2 of the request is 7"),
    (as_json(images=[TWO[0], TWO[0][:96]]), JSON, "image 2 of the request cannot be read"),
    (as_json(images=[7]), JSON, "images is not a list of text"),
    (as_json(images=TWO[0]), JSON, "neither a list nor an object"),
    (as_json(images=[]), JSON, "holds no samples"),
    (as_json(images=TWO, map="yes"), JSON, "`map` of the request is 'yes'; send true or false"),
    (as_json(images=TWO, inputs=[]), JSON, "'images', 'inputs'"),
]


@pytest.mark.parametrize(("body", "kind", "named"), BAD)
def test_what_is_no_image_is_refused_in_one_sentence(model, body, kind, named):
    assert named in message(respond(model, body, kind))


def test_an_unknown_kind_of_map_is_refused(model):
    assert "give png" in message(respond(model, FILES["a.png"], PNG, {"map": "jpg"}))


def test_an_image_of_another_size_is_refused_by_a_detector_of_one_size(native):
    said = message(respond(native, FILES["a.png"], PNG))
    assert "is 30 x 20 pixels, but this detector takes 12 x 10; resize it first" in said
    fitting = file_of(RGB.resize((12, 10)), "png")
    assert len(answer(native, fitting, PNG)) == 1


def test_a_detector_of_tables_refuses_images():
    table = DetectorModel(detector(Dense([4], 2)))
    assert "takes rows of a table" in message(respond(table, FILES["a.png"], PNG))
    message(respond(table, FORMS["images"], JSON))
    said = message(respond(table, as_json(inputs=[[1, 2, 3, 4]]), JSON, {"map": "png"}))
    assert "no anomaly maps" in said


def test_the_limit_of_pixels_comes_from_the_environment(monkeypatch):
    assert Limits.from_environment(is_server=True).pixels == 1 << 26
    monkeypatch.setenv(PIXELS_VARIABLE, "90")
    assert Limits.from_environment(is_server=False).pixels == 90
