"""Analysis `compression`: bytes per sample against reconstruction error (rate and distortion)."""

from collections.abc import Iterator
from math import ceil
from typing import Any

import numpy as np
import pandas as pd

from hourglass.data.prepared_data import Prepared
from hourglass.data.scaling import Scaling
from hourglass.evaluation.figures.comparisons import rates
from hourglass.networks import Network, is_image
from hourglass.studies.compression.codecs import (
    COMPONENT_BITS,
    Quantiser,
    jpeg,
    png_bytes,
    quantised_components,
)
from hourglass.studies.latent_space import LatentSpace, decode, encode
from hourglass.studies.results import StudyResult

MAX_REFERENCE_SAMPLES = 10_000  # training samples to fit ranges and principal components
MAX_TEST_SAMPLES = 1_000  # normal test samples to compress
MAX_PCA_COMPONENTS = 256

COLUMNS = {
    "method": "str",
    "latent_dim": "Int64",
    "quality": "Int64",
    "bits": "Int64",
    "bytes": "float64",
    "reconstruction_error": "float64",
    "PSNR": "float64",
}


def analyse_compression(space: LatentSpace, reference_rates: pd.DataFrame) -> StudyResult:
    """Compare rate and distortion of the latent code with those of reference methods."""
    code_rates = network_rates(space.network, space.prepared)
    table = pd.concat([code_rates, reference_rates], ignore_index=True)
    return StudyResult(tables={"rates": table}, figures={"rates": rates({"": table})})


def network_rates(network: Network, prepared: Prepared) -> pd.DataFrame:
    """Return rate and distortion of a network's latent code, one row per method and size.

    Methods: `code` stores all units in 1 to 8 bits each, or as 16-bit or 32-bit floats;
    `truncated` stores the k leading principal components of the code in 8 bits each. A network
    trained with latent_dim k can represent these components, so its optimal error is not above
    that of `truncated`.

    Columns: `latent_dim` is the number of stored values, `bits` the size of a value, `bytes` the
    size of a sample. `reconstruction_error` is the mean squared error in scaled units over normal
    test samples, with pixels clipped to [0, 1]; PSNR is the same in dB for a peak of 1.
    """
    train, test = _samples(prepared)
    reference, z = (encode(network, x, prepared.scaling) for x in (train, test))
    target, images = prepared.scaling(test), is_image(prepared.sample_shape)

    def row(method: str, stored: np.ndarray, units: int, bits: int) -> dict[str, Any]:
        rate = {"latent_dim": units, "bits": bits, "bytes": ceil(units * bits / 8)}
        return {"method": method, **rate, **_distortion(decode(network, stored), target, images)}

    size = z.shape[1]
    rows = [row("code", stored, size, bits) for bits, stored in _quantised_codes(reference, z)]
    truncated = quantised_components(reference, z, size)
    rows += [row("truncated", stored, k, COMPONENT_BITS) for k, stored in truncated]
    return _table(rows)


def reference_rates(prepared: Prepared) -> pd.DataFrame:
    """Return rate and distortion of methods without a network, one row per method and size.

    Methods: `pca` stores the leading principal components of the samples in 8 bits each. Images
    have three more: `jpeg`, the whole file per `quality`; `jpeg, without headers`, only the part
    that differs between files; and `png`, which is lossless.
    """
    train, test = _samples(prepared)
    images, scaling = is_image(prepared.sample_shape), prepared.scaling
    reference, flat = (scaling(x).reshape(len(x), -1) for x in (train, test))
    rows: list[dict[str, Any]] = []
    for k, restored in quantised_components(reference, flat, MAX_PCA_COMPONENTS):
        rate = {"latent_dim": k, "bits": COMPONENT_BITS, "bytes": ceil(k * COMPONENT_BITS / 8)}
        rows.append({"method": "pca", **rate, **_distortion(restored, flat, images)})
    return _table([*rows, *_image_files(test, scaling)] if images else rows)


def _samples(prepared: Prepared) -> tuple[np.ndarray, np.ndarray]:
    """Return training and normal test samples, unscaled, evenly spaced in their splits."""
    train, test = prepared.split("train").x, prepared.split("test")
    normal = np.flatnonzero(~test.anomaly)
    test_step = ceil(len(normal) / MAX_TEST_SAMPLES)
    return train[:: ceil(len(train) / MAX_REFERENCE_SAMPLES)], test.x[normal[::test_step]]


def _quantised_codes(reference: np.ndarray, z: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield bits per unit and dequantised codes: 1 to 8 bits, then 16-bit and 32-bit floats."""
    for bits in range(1, 9):
        yield bits, Quantiser.fit(reference, bits)(z)
    largest = np.finfo(np.float16).max
    yield 16, z.clip(-largest, largest).astype(np.float16).astype(np.float32)
    yield 32, z


def _image_files(test: np.ndarray, scaling: Scaling) -> Iterator[dict[str, Any]]:
    """Yield the rows of JPEG and PNG files."""
    channels_last = scaling(test).transpose(0, 2, 3, 1)
    target = channels_last[..., 0] if channels_last.shape[3] == 1 else channels_last
    images = np.round(target * 255).astype(np.uint8)
    for quality, file_bytes, scan_bytes, decoded in jpeg(images):
        distortion = _distortion(decoded / np.float32(255), target, clip=False)
        for method, size in (("jpeg", file_bytes), ("jpeg, without headers", scan_bytes)):
            yield {"method": method, "quality": quality, "bytes": size, **distortion}
    lossless = {"reconstruction_error": 0.0, "PSNR": np.inf}
    yield {"method": "png", "bytes": png_bytes(images), **lossless}


def _distortion(restored: np.ndarray, target: np.ndarray, clip: bool) -> dict[str, float]:
    """Return the mean squared error and the PSNR; `clip` limits restored pixels to [0, 1]."""
    restored = restored.clip(0, 1) if clip else restored
    error = float(np.square(restored - target, dtype=np.float64).mean())
    return {"reconstruction_error": error, "PSNR": -10 * np.log10(error) if error else np.inf}


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
