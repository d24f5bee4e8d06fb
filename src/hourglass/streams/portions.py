"""Portions of a file of new samples, in the detector's own order and type."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from hourglass.detection.detector import Detector
from hourglass.errors import Refusal

TABLES = (".csv", ".parquet")


@dataclass(frozen=True)
class Portion:
    """Hold some samples of a file, unscaled, and what they are called."""

    id: pa.Array  # (N,)
    x: np.ndarray  # (N, *S)
    complete: np.ndarray  # (N,) bool: False where a feature is missing, and no score can be given


Portions: TypeAlias = Iterator[Portion]
Accepts: TypeAlias = Callable[[tuple[int, ...]], bool]  # whether images are of a shape (C, H, W)


def portions(
    path: Path,
    detector: Detector,
    id: str | None,
    resize: bool,
    accepts: Accepts | None = None,
) -> Portions:
    """Yield the samples of a table, an .npz file, an image or a folder of images.

    Images are of the detector's shape, or of one that is accepted: then of one shape a portion.
    Raises a Refusal where the file is missing, of another kind, or is no input of the detector.
    """
    from hourglass.streams import images, tables

    accepts = accepts or (lambda shape: shape == detector.sample_shape)
    if not path.exists():
        raise Refusal(f"{path} is missing; name a file or folder of new samples.")
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return images.of_npz(path, detector, accepts)
    if suffix in TABLES:
        if not detector.feature_names:
            raise Refusal(
                f"{path} is a table, but this detector takes images; give an .npz file or images."
            )
        return tables.of_table(path, detector.feature_names, id)
    if detector.feature_names:
        raise Refusal(
            f"{path} is no table, but this detector takes one; give a .csv, .parquet or .npz file."
        )
    return images.of_files(path, detector, resize, accepts)


def ahead(found: Portions) -> Portions:
    """Yield portions while the next one is read already, in a thread of its own."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, found, None)
        while (portion := coming.result()) is not None:
            coming = pool.submit(next, found, None)
            yield portion
