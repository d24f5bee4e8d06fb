"""Prepared data: the arrays and the data card that `prepare` writes and later stages read."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from hourglass.core.checksums import (
    CorruptFileError,
    file_checksums,
    read_with_checksum,
    verify_checksums,
    write_with_checksum,
)
from hourglass.core.errors import UserError, one_line
from hourglass.core.paths import PREPARED, require_known
from hourglass.data.columns.column import Column
from hourglass.data.large_arrays import save_array
from hourglass.data.lazy_array import LazyArray
from hourglass.data.scaling import Encoding, TiledScaling, encoding_from_dict
from hourglass.data.series_encoding import SeriesEncoding
from hourglass.data.table_encoding import TableEncoding

Split: TypeAlias = Literal["train", "validation", "calibration", "tuning", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
CARD = "card.json"  # the data card: source, shapes, scaling, counts and checksums
FIELDS = ("x", "label", "anomaly", "id")  # fields of Samples, one .npy file each
IMAGE_TYPES = (np.uint8, np.uint16, np.float32)  # of images
MASK = "mask"  # another one, of images with masks of their defects
# Only `hourglass verify` checks larger arrays, because hashing a gigabyte takes about a second.
MAX_VERIFIED_BYTES = 1 << 30


@dataclass(frozen=True)
class Samples:
    """Samples of one split, unscaled."""

    x: np.ndarray  # (N, *S) images of IMAGE_TYPES or float64 codes of cells, memory-mapped
    label: np.ndarray  # (N,) str
    anomaly: np.ndarray  # (N,) bool
    id: np.ndarray  # (N,) str
    mask: np.ndarray | None = None  # (N, H, W) bool: defective pixels, if known

    @classmethod
    def normal(cls, x: np.ndarray) -> "Samples":
        """Return normal samples, (N, *S), without ids."""
        n = len(x)
        return cls(x, np.full(n, "normal"), np.zeros(n, bool), np.full(n, ""))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays by field, without masks if there are none."""
        return {field: array for field, array in vars(self).items() if array is not None}


@dataclass(frozen=True)
class Prepared:
    """A prepared data set; its arrays are read on access."""

    folder: Path
    card: dict[str, Any]  # the data card

    @classmethod
    def open(cls, folder: Path) -> "Prepared":
        """Open the data set in `folder`; raises a UserError if it is missing or damaged."""
        try:
            card = read_with_checksum(folder / CARD)
        except FileNotFoundError:
            if folder.parent == PREPARED:
                require_known(folder.name)
            command = f"hourglass prepare {folder.name}"
            raise UserError(f"{folder.as_posix()} is missing; run `{command}` first.") from None
        except (CorruptFileError, OSError) as error:
            raise _damaged(folder, error) from None
        return cls(folder, card)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Return the shape of a sample: (C, H, W) for images, (C,) for a table of C columns."""
        return tuple(self.card["sample_shape"])

    @property
    def columns(self) -> list[Column]:
        """Return the columns of a table, with the roles of a series; [] for images."""
        return [Column.from_dict(column) for column in self.card["columns"]]

    @property
    def features(self) -> list[Column]:
        """Return the columns that networks see; [] for images."""
        return [column for column in self.columns if column.is_feature]

    @cached_property
    def scaling(self) -> Encoding:
        """The map from samples to network inputs."""
        return encoding_from_dict(self.card["scaling"])

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Return the shape of a network input: that of an image or tile, (F,) or (F, window)."""
        return input_shape(self.scaling, self.sample_shape)

    def input_count(self, name: Split) -> int:
        """Return the number of network inputs of a split: samples, or their windows or tiles."""
        return input_count(self.scaling, self.x(name))

    @property
    def heads(self) -> list[dict[str, Any]] | None:
        """Return the columns of a table for `Network.add_heads`; None for images."""
        return self.scaling.heads if isinstance(self.scaling, TableEncoding) else None

    def x(self, name: Split) -> np.ndarray:
        """Return the samples of one split, (N, *S), memory-mapped.

        Raises a UserError if an array of up to MAX_VERIFIED_BYTES differs from its checksum.
        """
        return self._lazy(name) if self.card.get("storage") else self._array(name, "x")

    def split(self, name: Split) -> Samples:
        """Return one split with `x` memory-mapped; raise a UserError if an array is damaged."""
        fields = (*FIELDS, MASK) if self.has_masks else FIELDS
        others = {field: self._array(name, field) for field in fields if field != "x"}
        return Samples(x=self.x(name), **others)

    @property
    def has_masks(self) -> bool:
        """Return whether the defective pixels of the images are known."""
        return bool(self.card.get("masks"))

    def _lazy(self, split: Split) -> np.ndarray:
        """Return the samples of a split that stay in their files and are read on access."""
        kind = _lazy_kind(self.card)
        file = f"{split}/{kind.saved_as}"
        try:
            verify_checksums(self.folder, {file: self.card["files"][file]})
            lazy: Any = kind.load(self.folder / split, self.card)
        except (ValueError, KeyError, OSError, EOFError) as error:
            raise _damaged(self.folder, error) from None
        samples: np.ndarray = lazy
        return samples

    def _array(self, split: Split, field: str) -> np.ndarray:
        file = f"{split}/{field}.npy"
        path = self.folder / file
        try:
            if path.stat().st_size <= MAX_VERIFIED_BYTES:
                verify_checksums(self.folder, {file: self.card["files"][file]})
            mode: Literal["r"] | None = "r" if field in ("x", MASK) else None
            array: np.ndarray = np.load(path, mode, allow_pickle=False)
        except (ValueError, KeyError, OSError, EOFError) as error:
            raise _damaged(self.folder, error) from None
        return array


@dataclass(frozen=True)
class PreparedInMemory(Prepared):
    """A prepared data set without files; `folder` names it in messages only."""

    samples: dict[Split, Samples]

    def _lazy(self, split: Split) -> np.ndarray:
        return self.samples[split].x

    def _array(self, split: Split, field: str) -> np.ndarray:
        array: np.ndarray = getattr(self.samples[split], field)
        return array


def input_count(scaling: Encoding, x: np.ndarray) -> int:
    """Return the number of network inputs of samples, (N, *S), or of their windows or tiles."""
    if isinstance(scaling, SeriesEncoding | TiledScaling):
        return scaling.input_count(x)
    return len(x)


def input_shape(scaling: Encoding, sample_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a network input: that of a sample, unless it is encoded or in tiles."""
    if isinstance(scaling, TableEncoding | TiledScaling):
        return scaling.input_shape
    return sample_shape


def write_prepared(folder: Path, samples: dict[Split, Samples], card: dict[str, Any]) -> None:
    """Write the splits and the data card into an empty folder."""
    for name in SPLITS:
        (folder / name).mkdir()
        for field, array in samples[name].arrays().items():
            if isinstance(array, LazyArray):
                array.save(folder / name)
            else:
                save_array(folder / name / f"{field}.npy", array)
    write_data_card(folder, card)


def write_data_card(folder: Path, card: dict[str, Any]) -> None:
    """Write the data card of the arrays in `folder`, with the SHA-256 of each array."""
    fields = (*FIELDS, MASK) if card.get("masks") else FIELDS
    files = [f"{field}.npy" for field in fields]
    if card.get("storage"):
        files[0] = _lazy_kind(card).saved_as
    names = [f"{split}/{file}" for split in SPLITS for file in files]
    write_with_checksum(folder / CARD, {**card, "files": file_checksums(folder, names)})


def _lazy_kind(card: Mapping[str, Any]) -> type[LazyArray]:
    """Return the class of samples that stay in their files: vectors in shards, or images."""
    if card["storage"]["kind"] == "shards":
        from hourglass.data.lazy_vectors import LazyVectors

        return LazyVectors
    from hourglass.data.readers.lazy_images import LazyImages

    return LazyImages


def _damaged(folder: Path, error: Exception) -> UserError:
    return UserError(
        f"{folder.as_posix()} cannot be used ({one_line(error)}); run `hourglass prepare "
        f"{folder.name}` again, which gives the same bytes from the same raw files."
    )
