"""LightningDataModules: prepared samples, or latent codes of them, in batches."""

import copy
import sys
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from hourglass.core.errors import UserError
from hourglass.core.paths import prepared_folder
from hourglass.core.settings import Residency
from hourglass.data.batches import Batches, Inputs, Scaled, Shares
from hourglass.data.lazy_array import LazyArray
from hourglass.data.lazy_vectors import LazyVectors
from hourglass.data.prepared_data import Prepared, Split, input_count
from hourglass.data.residency import Rows, batch_device, choose_residency
from hourglass.data.scaling import Encoding, Scaling, TiledScaling
from hourglass.data.series_encoding import SeriesEncoding
from hourglass.data.shuffle_buffer import (
    MAX_BYTES_IN_MEMORY,
    BufferedOrder,
    BufferedRows,
    rank_rows,
)
from hourglass.data.table_encoding import LINEAR_LIMIT, TableEncoding
from hourglass.data.tile_batches import TileBatches
from hourglass.data.tiling import Tiles
from hourglass.data.vector_encoding import VectorEncoding
from hourglass.data.window_batches import WindowBatches

CPU = torch.device("cpu")


class DataModule(pl.LightningDataModule):
    """A prepared data set for any Trainer and LightningModule.

    `DataModule("mnist")` serves the data set of configs/data/mnist.yaml and prepares it if needed.
    A batch is one tensor, (n, *S) float32, scaled, without labels. `batch_size` counts the samples
    of all processes together.

    `residency` is the place of the samples: "device" (accelerator memory), "host" (main memory) or
    "stream" (read per batch from the memory-mapped file). "auto" takes the first of these with free
    memory for twice the samples. The batches are the same in all cases. Raises a UserError for any
    other residency.
    """

    def __init__(
        self, data: str, batch_size: int = 256, seed: int = 0, residency: Residency = "auto"
    ) -> None:
        super().__init__()
        allowed = get_args(Residency)
        if residency not in allowed:
            raise UserError(f"residency is {residency!r}, but must be one of {', '.join(allowed)}.")
        self.data = data
        self.batch_size = batch_size
        self.seed = seed
        self.residency = residency

    def prepare_data(self) -> None:
        """Prepare the data set if its folder is missing; Lightning calls this on one process."""
        if not prepared_folder(self.data).exists():
            from hourglass.data.prepare import prepare_data_set

            prepare_data_set(self.data)

    def setup(self, stage: str | None = None) -> None:
        """Raise a UserError if there are more processes than validation samples."""
        if self.trainer and self._count("validation") < self.trainer.world_size:
            raise UserError(
                f"{self.data} has fewer validation samples than the {self.trainer.world_size} "
                "processes of the trainer; use fewer devices."
            )

    @property
    def prepared(self) -> Prepared:
        """Return the prepared data set."""
        return Prepared.open(prepared_folder(self.data))

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Return the shape of a network input: that of an image or tile, (F,) or (F, window)."""
        return self.prepared.input_shape

    def train_dataloader(self) -> Batches:
        """Return shuffled batches of the train split; seed and epoch decide the order."""
        return self._batches("train", shuffle=lambda: self.seed * 1_000_003 + self._epoch())

    def val_dataloader(self) -> Batches:
        """Return batches of the validation split, in order."""
        return self._batches("validation")

    def test_dataloader(self) -> Batches:
        """Return batches of the test split, in order."""
        return self._batches("test")

    predict_dataloader = test_dataloader

    def samples(self, name: Split) -> tuple[np.ndarray, Encoding]:
        """Return the samples of a split, (N, *S), unscaled and memory-mapped, and their scaling."""
        prepared = self.prepared
        return prepared.x(name), prepared.scaling

    def rows(self, name: Split) -> Inputs:
        """Return this process's rows of a split, or their windows or tiles, at their residency."""
        if (parts := self._parts_of_samples(name)) is not None:
            return parts
        x, scaling = self._local_samples(name)
        device, is_table = self._device(), isinstance(scaling, TableEncoding)
        # Inputs of a table are encoded once: they may be more than its columns.
        nbytes = len(x) * scaling.width * 4 if isinstance(scaling, TableEncoding) else x.nbytes
        if isinstance(scaling, VectorEncoding):
            stream = self.residency == "auto" and x.nbytes > MAX_BYTES_IN_MEMORY
            residency = "stream" if stream else self._residency(name, x.nbytes)
            return BufferedRows(x, residency, device, Scaled(scaling, device))
        residency = self._residency(name, nbytes)
        limit = LINEAR_LIMIT if name == "train" else None
        return Rows(x, residency, device, Scaled(scaling, device, limit), transform_once=is_table)

    def _parts_of_samples(self, name: Split) -> WindowBatches | TileBatches | None:
        """Return this process's windows of a series or tiles of images, if samples have such."""
        x, scaling = self.samples(name)
        rank, world_size = self._rank()
        device = self._device()
        if isinstance(scaling, TiledScaling):
            tiles = Tiles(x, scaling.tiling).subset(slice(rank, None, world_size))
            return TileBatches(
                tiles, self._residency(name, x.nbytes), device, Scaled(scaling, device)
            )
        if not isinstance(scaling, SeriesEncoding):
            return None
        windows = scaling.windows(x)
        residency = self._residency(name, len(windows.row_of_step) * scaling.width * 4)
        limit = LINEAR_LIMIT if name == "train" else None
        encode, starts = Scaled(scaling, device, limit), windows.starts[rank::world_size]
        return WindowBatches(x, windows, starts, encode, device, residency == "stream")

    def _count(self, name: Split) -> int:
        """Return the number of network inputs of a split, over all processes."""
        x, scaling = self.samples(name)
        return input_count(scaling, x)

    def _local_samples(self, name: Split) -> tuple[np.ndarray, Encoding]:
        x, scaling = self.samples(name)
        rank, world_size = self._rank()
        if world_size == 1:
            return x, scaling
        if isinstance(x, LazyVectors):
            block = BufferedOrder.of(x.nbytes // len(x)).block
            samples: Any = x.subset(rank_rows(len(x), block, rank, world_size))
            return samples, scaling
        part = slice(rank, None, world_size)
        return x.subset(part) if isinstance(x, LazyArray) else x[part], scaling

    def _batches(self, name: Split, shuffle: Callable[[], int] | None = None) -> Batches:
        shares = Shares(self._count(name), self.batch_size, *self._rank())
        return Batches(self.rows(name), shares, shuffle)

    def _rank(self) -> tuple[int, int]:
        """Return rank and world size."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _epoch(self) -> int:
        return self.trainer.current_epoch if self.trainer else 0

    def _device(self) -> torch.device:
        return batch_device(self.trainer.strategy.root_device) if self.trainer else CPU

    def _residency(self, name: Split, nbytes: int) -> Residency:
        """Choose the residency of `nbytes` bytes of a split; print the reason if not the device."""
        if self.residency != "auto":
            return self.residency
        processes = self.trainer.num_devices if self.trainer else 1
        residency, reason = choose_residency(nbytes, self._device(), processes)
        if reason and not self._rank()[0]:
            print(f"{self.data}, {name}: {reason}; residency is {residency}", file=sys.stderr)
        return residency


class CodesDataModule(DataModule):
    """Data module of latent codes: outputs of the frozen `lower_layers` for samples of `source`.

    `lower_layers` are, for example, the trained layers of a stack. The codes are computed once and
    held in memory; codes that do not fit are computed per batch from streamed samples.
    """

    def __init__(self, source: DataModule, lower_layers: nn.Module) -> None:
        super().__init__(source.data, source.batch_size, source.seed, source.residency)
        self.source = source
        self.lower_layers = lower_layers

    def prepare_data(self) -> None:
        """Prepare the samples of `source`."""
        self.source.prepare_data()

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Return the shape of a sample of `source`, before encoding."""
        return self.source.sample_shape

    def samples(self, name: Split) -> tuple[np.ndarray, Encoding]:
        """Return the samples of `source`, before encoding, and their scaling."""
        return self.source.samples(name)

    def rows(self, name: Split) -> Inputs:
        """Return this process's codes of a split, (n, units), or of their windows or tiles."""
        if isinstance(self.lower_layers, nn.Identity):
            return super().rows(name)
        if (parts := self._parts_of_samples(name)) is not None:
            return self._codes_of_parts(name, parts)
        x, scaling = self._local_samples(name)
        device, encode = self._device(), _encoder(self.lower_layers, scaling, CPU)
        nbytes = len(x) * encode(torch.from_numpy(np.array(x[:1]))).nbytes
        residency = self._residency(name, nbytes)
        if residency == "stream":
            layers = copy.deepcopy(self.lower_layers).to(device)
            return Rows(x, residency, device, _encoder(layers, scaling, device))
        batches = Rows(x, "stream", CPU, encode).batches(None, Shares(len(x), self.batch_size))
        codes = torch.cat(list(batches)).numpy()
        return Rows(codes, residency, device, Scaled(Scaling.none(), device))

    def _codes_of_parts(self, name: Split, parts: WindowBatches | TileBatches) -> Rows:
        device = self._device()
        layers = copy.deepcopy(self.lower_layers).to(device)
        shares = Shares(len(parts), self.batch_size)
        with torch.no_grad():
            codes = torch.cat([layers(batch).cpu() for batch in parts.batches(None, shares)])
        residency = self._residency(name, codes.nbytes)
        return Rows(codes.numpy(), residency, device, Scaled(Scaling.none(), device))


def _encoder(
    layers: nn.Module, scaling: Encoding, device: torch.device
) -> Callable[[Tensor], Tensor]:
    """Return a function that maps unscaled samples, (n, *S), to codes, (n, units)."""
    scaled = Scaled(scaling, device)
    return torch.no_grad()(lambda x: layers(scaled(x)))
