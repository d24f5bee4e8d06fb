"""The arrays that `prepare` writes and everything after it reads."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from hourglass.data.scaling import Scaling
from hourglass.errors import Refusal

Split: TypeAlias = Literal["train", "validation", "calibration", "tuning", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True)
class Samples:
    """Hold the samples of one split, unscaled."""

    x: np.ndarray  # (N, *S) uint8 images or float32 features, memory-mapped
    label: np.ndarray  # (N,) str
    anomaly: np.ndarray  # (N,) bool
    id: np.ndarray  # (N,) str


@dataclass(frozen=True)
class Prepared:
    """Read a prepared data set."""

    folder: Path
    card: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> "Prepared":
        """Return the data set in `folder`; raises a Refusal where it was not prepared."""
        try:
            card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            command = f"hourglass prepare {folder.name}"
            raise Refusal(f"{folder.as_posix()} is missing; run `{command}` first.") from None
        return cls(folder, card)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Return (C, H, W) of images or (F,) of a table."""
        return tuple(self.card["sample_shape"])

    @property
    def scaling(self) -> Scaling:
        """Return how samples are scaled for the network."""
        return Scaling.from_dict(self.card["scaling"])

    def x(self, name: Split) -> np.ndarray:
        """Return the samples of one split, (N, *S), memory-mapped, not read."""
        found: np.ndarray = np.load(self.folder / name / "x.npy", mmap_mode="r", allow_pickle=False)
        return found

    def split(self, name: Split) -> Samples:
        """Return one split; the big array is memory-mapped, not read."""
        folder = self.folder / name
        return Samples(
            x=self.x(name),
            label=np.load(folder / "label.npy", allow_pickle=False),
            anomaly=np.load(folder / "anomaly.npy", allow_pickle=False),
            id=np.load(folder / "id.npy", allow_pickle=False),
        )


def write(folder: Path, samples: dict[Split, Samples], card: dict[str, Any]) -> None:
    """Write splits and card into an empty folder, for `Prepared` to read."""
    for name in SPLITS:
        (folder / name).mkdir()
        for field, array in vars(samples[name]).items():
            np.save(folder / name / f"{field}.npy", array, allow_pickle=False)
    text = json.dumps(card, indent=2, allow_nan=False) + "\n"
    (folder / "card.json").write_text(text, encoding="utf-8", newline="\n")
