"""Analysis `compression`: bytes per sample against reconstruction error (rate and distortion)."""

from collections.abc import Iterable, Iterator
from math import ceil, log2
from typing import Any

import numpy as np
import pandas as pd

from hourglass.data.prepared_data import Prepared
from hourglass.data.scaling import filled_inputs
from hourglass.detection.inference import batched
from hourglass.detection.scoring import latent_codes
from hourglass.evaluation.figures.comparisons import rates
from hourglass.networks import Network, is_image
from hourglass.networks.quantised import Quantised
from hourglass.studies.compression.codecs import (
    COMPONENT_BITS,
    Quantiser,
    jpeg,
    png_bytes,
    quantised_components,
)
from hourglass.studies.latent_space import LatentSpace, decode
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
    """Compare rate and distortion of the latent code with those of reference methods.

    The metrics of a quantised network are the bits per sample, `code_bits`, and those that an
    entropy coder needs with the network's prior, `prior_bits`.
    """
    code_rates = network_rates(space.network, space.prepared)
    table = pd.concat([code_rates, reference_rates], ignore_index=True)
    metrics = {}
    if isinstance(space.network, Quantised):
        stored = code_rates.set_index("method").bytes
        metrics = {"code_bits": 8 * stored["code"], "prior_bits": 8 * stored["code, by the prior"]}
    return StudyResult(metrics, {"rates": table}, {"rates": rates({"": table})})


def network_rates(network: Network, prepared: Prepared) -> pd.DataFrame:
    """Return rate and distortion of a network's latent code, one row per method and size.

    Methods: `code` stores all units in 1 to 8 bits each, or as 16-bit or 32-bit floats;
    `truncated` stores the k leading principal components of the code in 8 bits each. A network
    trained with latent_dim k can represent these components, so its optimal error is not above
    that of `truncated`.

    The code of a quantised network has two rows only: `code`, with the same bits for each sample,
    and `code, by the prior`, with the mean bits of an entropy coder (`Quantised.prior_bits`).

    Columns: `latent_dim` is the number of stored values, `bits` the size of a value, `bytes` the
    size of a sample. `reconstruction_error` is the mean squared error in scaled units over normal
    test samples, with pixels clipped to [0, 1]; PSNR is the same in dB for a peak of 1.
    """
    train, test = _samples(prepared)
    if isinstance(network, Quantised):
        return _quantised_rates(network, prepared, test)
    reference, z = (latent_codes(network, x, prepared.scaling) for x in (train, test))
    size, largest = z.shape[1], np.finfo(np.float16).max
    stored = [("code", size, bits, Quantiser.fit(reference, bits)(z)) for bits in range(1, 9)]
    halves = z.clip(-largest, largest).astype(np.float16).astype(np.float32)
    stored += [("code", size, 16, halves), ("code", size, 32, z)]
    for k, codes in quantised_components(reference, z, size):
        stored.append(("truncated", k, COMPONENT_BITS, codes))
    target, clip = filled_inputs(prepared.scaling, test), is_image(prepared.sample_shape)
    return _table(
        _row(method, units, bits, decode(network, codes), target, clip)
        for method, units, bits, codes in stored
    )


def _quantised_rates(network: Quantised, prepared: Prepared, test: np.ndarray) -> pd.DataFrame:
    """Return rate and distortion of quantised codes of samples, unscaled, (N, *S)."""
    target, clip = filled_inputs(prepared.scaling, test), is_image(prepared.sample_shape)
    z = latent_codes(network, test, prepared.scaling)
    quantiser = network.quantiser
    row = _row(
        "code", quantiser.positions, ceil(log2(quantiser.size)), decode(network, z), target, clip
    )
    row["bytes"] = network.bits / 8
    coded = batched(network, network.prior_bits, target).mean()
    return _table([row, row | {"method": "code, by the prior", "bits": None, "bytes": coded / 8}])


def reference_rates(prepared: Prepared) -> pd.DataFrame:
    """Return rate and distortion of methods without a network, one row per method and size.

    Methods: `pca` stores the leading principal components of the samples in 8 bits each. Images
    have three more: `jpeg`, the whole file per `quality`; `jpeg, without headers`, only the part
    that differs between files; and `png`, which is lossless.
    """
    train, test = (filled_inputs(prepared.scaling, x) for x in _samples(prepared))
    reference, target = (x.reshape(len(x), -1) for x in (train, test))
    images = is_image(prepared.sample_shape)
    rows = [
        _row("pca", k, COMPONENT_BITS, restored, target, images)
        for k, restored in quantised_components(reference, target, MAX_PCA_COMPONENTS)
    ]
    return _table([*rows, *_image_files(test)] if images else rows)


def _samples(prepared: Prepared) -> tuple[np.ndarray, np.ndarray]:
    """Return training and normal test samples, unscaled, evenly spaced in their splits."""
    train, test = prepared.split("train").x, prepared.split("test")
    normal = np.flatnonzero(~test.anomaly)
    test_step = ceil(len(normal) / MAX_TEST_SAMPLES)
    return train[:: ceil(len(train) / MAX_REFERENCE_SAMPLES)], test.x[normal[::test_step]]


def _image_files(x: np.ndarray) -> Iterator[dict[str, Any]]:
    """Yield the rows of JPEG and PNG files for scaled images, (N, C, H, W)."""
    target = x[:, 0] if x.shape[1] == 1 else x.transpose(0, 2, 3, 1)
    images = np.round(target * 255).astype(np.uint8)
    for quality, file_bytes, scan_bytes, decoded in jpeg(images):
        distortion = _distortion(decoded / np.float32(255), target)
        for method, size in (("jpeg", file_bytes), ("jpeg, without headers", scan_bytes)):
            yield {"method": method, "quality": quality, "bytes": size, **distortion}
    yield {"method": "png", "bytes": png_bytes(images), **_distortion(target, target)}


def _row(
    method: str, units: int, bits: int, restored: np.ndarray, target: np.ndarray, clip: bool
) -> dict[str, Any]:
    """Return the row of samples restored from `units` values of `bits` bits each."""
    distortion = _distortion(restored.clip(0, 1) if clip else restored, target)
    rate = {"latent_dim": units, "bits": bits, "bytes": ceil(units * bits / 8)}
    return {"method": method, **rate, **distortion}


def _distortion(restored: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """Return the mean squared error and the PSNR."""
    error = float(np.square(restored - target, dtype=np.float64).mean())
    return {"reconstruction_error": error, "PSNR": -10 * np.log10(error) if error else np.inf}


def _table(rows: Iterable[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
