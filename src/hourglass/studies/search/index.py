"""All samples of a data set by their codes, and the files that hold them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
from safetensors.numpy import load_file, save_file

from hourglass.core.atomic import atomic_files
from hourglass.core.checksums import (
    CORRUPT_FILE_ERRORS,
    file_checksums,
    read_with_checksum,
    verify_checksums,
    write_with_checksum,
)
from hourglass.core.errors import UserError, one_line
from hourglass.data.prepared import SPLITS, Prepared
from hourglass.detection.detector import INPUTS, Detector
from hourglass.detection.scoring import latent_codes
from hourglass.studies.search.nearest import Nearest

Origin: TypeAlias = dict[str, str]

CODES, SAMPLES, CARD = "index.safetensors", "index.parquet", "index.json"


class Unusable(Exception):
    """Say in half a sentence why a folder's index has to be made anew."""


@dataclass
class Index:
    """Find samples by their latent_codes."""

    latent_codes: np.ndarray  # (n, latent_dim) float32
    samples: pd.DataFrame  # a row a sample: id, split, label (str), anomaly (bool)
    origin: Origin  # SHA-256 of the weights and of the data
    nearest: Nearest = field(init=False)

    def __post_init__(self) -> None:
        self.nearest = Nearest(self.latent_codes)

    @classmethod
    def build(cls, detector: Detector, prepared: Prepared) -> "Index":
        """Return the index of all five splits, in their order.

        Raises a UserError where they are no input of the detector, or a code is not finite.
        """
        scoring, tables, parts = detector.scoring, [], []
        for name in SPLITS:
            split = prepared.split(name)
            if len(split.x):
                parts.append(latent_codes(scoring.network, split.x, scoring.scaling))
            columns = {"id": split.id, "split": name, "label": split.label}
            tables.append(pd.DataFrame(columns | {"anomaly": split.anomaly}))
        samples = pd.concat(tables, ignore_index=True)
        return cls(np.concatenate(parts), samples, origin(detector, prepared))

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.latent_codes)

    def search(self, queries: np.ndarray, top: int) -> tuple[np.ndarray, np.ndarray]:
        """Return distances and places of the `top` nearest codes of each query.

        Of (m, latent_dim) codes both are (m, top), nearest first, equal ones by place; a code that
        is in the index has distance 0 to itself. Raises a UserError where there are fewer samples.
        """
        if not 1 <= top <= len(self):
            raise UserError(f"top is {top}, but must be between 1 and the {len(self):,} samples.")
        return self.nearest(queries, top)

    def place(self, id: str) -> int | None:
        """Return the place of the sample with that id, or None."""
        found = np.flatnonzero(self.samples.id == id)
        return int(found[0]) if len(found) else None

    def write(self, folder: Path) -> None:
        """Write the codes, the samples, and a card with the SHA-256 of both and the origin."""
        with atomic_files(folder) as temporary:
            save_file({"codes": np.ascontiguousarray(self.latent_codes)}, temporary / CODES)
            self.samples.to_parquet(temporary / SAMPLES)
            files = file_checksums(temporary, (CODES, SAMPLES))
            write_with_checksum(temporary / CARD, {"origin": self.origin, "files": files})

    @classmethod
    def read(cls, folder: Path, expected: Origin) -> "Index":
        """Return the index in a folder; nothing that is loaded can run code.

        Raises Unusable where it is missing, damaged, or of another origin than expected.
        """
        try:
            card = read_with_checksum(folder / CARD)
            if card["origin"] != expected:
                raise Unusable(f"the index in {folder.as_posix()} is of other weights or data")
            verify_checksums(folder, {name: card["files"][name] for name in (CODES, SAMPLES)})
            samples = pd.read_parquet(folder / SAMPLES)
            return cls(load_file(folder / CODES)["codes"], samples, expected)
        except FileNotFoundError as error:
            raise Unusable(f"{Path(error.filename).as_posix()} is missing") from None
        except CORRUPT_FILE_ERRORS as error:
            raise Unusable(
                f"the index in {folder.as_posix()} is damaged ({one_line(error)})"
            ) from None


def origin(detector: Detector, prepared: Prepared) -> Origin:
    """Return what an index is made of: the weights and the data, by their SHA-256.

    Raises a UserError where the data were prepared otherwise than those of the detector.
    """
    if any(prepared.card[name] != detector.inputs[name] for name in INPUTS):
        raise UserError(
            f"{prepared.folder.as_posix()} was prepared with other settings than the detector was "
            "calibrated with; run `dvc repro` first."
        )
    return {"weights": detector.weights, "data": prepared.card["sha256"]}
