"""Rate and distortion: bytes a sample against the reconstruction error, as tables."""

from collections.abc import Iterator
from math import ceil
from typing import Any

import numpy as np
import pandas as pd

from hourglass.data.prepared import Prepared
from hourglass.data.scaling import Scaling
from hourglass.detection.inference import batched
from hourglass.detection.scoring import latent_codes
from hourglass.networks import Network, is_image
from hourglass.studies.compression.codecs import jpeg, png
from hourglass.studies.compression.quantisation import BITS, Quantiser, components

TRAINING = 10_000  # samples that ranges and directions are learnt from, at most
TEST = 1_000  # normal test samples that are compressed, at most
COMPONENTS = 256

COLUMNS = {
    "method": "str",
    "latent_dim": "Int64",
    "quality": "Int64",
    "bits": "Int64",
    "bytes": "float64",
    "reconstruction_error": "float64",
    "PSNR": "float64",
}


def of_network(network: Network, prepared: Prepared) -> pd.DataFrame:
    """Return what the codes of a trained network cost and what is lost, a row a setting.

    `method` is `code`: all units, in 1 to 8 bits each, or as floats of 16 and 32; or `truncated`:
    the k leading principal components of the code, 8 bits each. The latter needs no training, and
    a network with a code of k units could learn as much: its error is an upper bound of what such
    a network can reach.
    `latent_dim` is how many numbers are stored, `bits` of each, `bytes` of a sample;
    `reconstruction_error` is the mean squared one in the scaled units over normal test samples,
    of images with pixels clipped to their range, PSNR the same in dB with a peak of 1. Ranges and
    directions are those of training latent_codes.
    """
    train, test = _samples(prepared)
    known, z = (latent_codes(network, x, prepared.scaling) for x in (train, test))
    target, images = prepared.scaling(test), is_image(prepared.sample_shape)

    def row(method: str, stored: np.ndarray, units: int, bits: int) -> dict[str, Any]:
        cost = {"latent_dim": units, "bits": bits, "bytes": ceil(units * bits / 8)}
        found = _within(batched(network, network.decode, stored), images)
        return {"method": method, **cost, **_lost(found, target)}

    rows = [row("code", stored, z.shape[1], bits) for bits, stored in _coarser(known, z)]
    rows += [row("truncated", each, k, BITS) for k, each in components(known, z, z.shape[1])]
    return _table(rows)


def references(prepared: Prepared) -> pd.DataFrame:
    """Return the same of methods that are no networks, a row a setting.

    `pca`: the leading principal components of the samples, 8 bits each. Of images also `jpeg`, a
    whole file at each `quality`; `jpeg, without headers`, only what differs from file to file; and
    `png`, which loses nothing.
    """
    train, test = _samples(prepared)
    images, scaling = is_image(prepared.sample_shape), prepared.scaling
    known, flat = (scaling(x).reshape(len(x), -1) for x in (train, test))
    rows: list[dict[str, Any]] = []
    for k, found in components(known, flat, COMPONENTS):
        cost = {"latent_dim": k, "bits": BITS, "bytes": ceil(k * BITS / 8)}
        rows.append({"method": "pca", **cost, **_lost(_within(found, images), flat)})
    return _table([*rows, *_files(test, scaling)] if images else rows)


def _samples(prepared: Prepared) -> tuple[np.ndarray, np.ndarray]:
    """Return training and normal test samples, unscaled, from everywhere in their splits."""
    train, test = prepared.split("train").x, prepared.split("test")
    normal = np.flatnonzero(~test.anomaly)
    chosen = normal[:: -(-len(normal) // TEST)]
    return train[:: -(-len(train) // TRAINING)], test.x[chosen]


def _coarser(known: np.ndarray, z: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield codes in 1 to 8 bits a unit, and as floats of 16 and 32."""
    for bits in range(1, 9):
        yield bits, Quantiser.fit(known, bits)(z)
    largest = np.finfo(np.float16).max
    yield 16, z.clip(-largest, largest).astype(np.float16).astype(np.float32)
    yield 32, z


def _files(test: np.ndarray, scaling: Scaling) -> Iterator[dict[str, Any]]:
    """Yield the rows of image files."""
    channels_last = scaling(test).transpose(0, 2, 3, 1)
    target = channels_last[..., 0] if channels_last.shape[3] == 1 else channels_last
    pictures = np.round(target * 255).astype(np.uint8)
    for quality, whole, bare, found in jpeg(pictures):
        lost = _lost(found / np.float32(255), target)
        for method, cost in (("jpeg", whole), ("jpeg, without headers", bare)):
            yield {"method": method, "quality": quality, "bytes": cost, **lost}
    yield {"method": "png", "bytes": png(pictures), "reconstruction_error": 0.0, "PSNR": np.inf}


def _within(found: np.ndarray, images: bool) -> np.ndarray:
    """Return what was decoded; of images as a file would hold it, from black to white."""
    return found.clip(0, 1) if images else found


def _lost(found: np.ndarray, target: np.ndarray) -> dict[str, float]:
    error = float(np.square(found - target, dtype=np.float64).mean())
    return {"reconstruction_error": error, "PSNR": -10 * np.log10(error) if error else np.inf}


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
