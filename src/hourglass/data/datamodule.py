"""The LightningDataModule: a process's part of each split, kept where it fits, in batches."""

import copy
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from hourglass.core.errors import UserError
from hourglass.core.paths import prepared_folder
from hourglass.core.settings import Residency
from hourglass.data.batches import Batches, Scaled, Shares
from hourglass.data.placement import checked, chosen, kept
from hourglass.data.prepared import Prepared, Split
from hourglass.data.scaling import Scaling
from hourglass.data.streaming import Rows, Streamed

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Served:
    """Hold a process's rows of a split, and what makes the network's inputs of a batch of them."""

    rows: Rows
    scaled: Callable[[Tensor], Tensor]


class DataModule(pl.LightningDataModule):
    """Serve a prepared data set to a Trainer, kept on the device where it fits there.

    `DataModule("mnist")` serves any data set of configs/data by its name, preparing it where that
    was not done yet. `batch_size` counts samples over all processes together.

    `residency` says where samples are kept: on the "device", in the memory of the "host", or in the
    mapped file, from which they "stream"; "auto" takes the first of these that has twice the room.
    Batches are the same in any case. Raises a UserError for another residency.
    """

    def __init__(
        self, data: str, batch_size: int = 256, seed: int = 0, residency: Residency = "auto"
    ) -> None:
        super().__init__()
        self.data = data
        self.batch_size = batch_size
        self.seed = seed
        self.residency = checked(residency)

    def prepare_data(self) -> None:
        """Prepare the data set where its folder is missing; Lightning calls this on one process."""
        if not prepared_folder(self.data).exists():
            from hourglass.data.prepare import prepare_data_set

            prepare_data_set(self.data)

    def setup(self, stage: str | None = None) -> None:
        """Refuse more processes than there are validation samples."""
        trainer = self.trainer
        if trainer and len(self.samples("validation")[0]) < trainer.world_size:
            raise UserError(
                f"{self.data} has fewer validation samples than the {trainer.world_size} "
                "processes of the trainer; use fewer devices."
            )

    @property
    def prepared(self) -> Prepared:
        """Return the data set, once it is prepared."""
        return Prepared.open(prepared_folder(self.data))

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Return (C, H, W) of images or (F,) of a table, once the data set is prepared."""
        return self.prepared.sample_shape

    def train_dataloader(self) -> Batches:
        """Return shuffled batches of the train split."""
        return self._batches("train", shuffle=lambda: self.seed * 1_000_003 + self._epoch())

    def val_dataloader(self) -> Batches:
        """Return batches of the validation split, in order."""
        return self._batches("validation")

    def test_dataloader(self) -> Batches:
        """Return batches of the test split, in order."""
        return self._batches("test")

    def predict_dataloader(self) -> Batches:
        """Return batches of the test split, in order."""
        return self._batches("test")

    def samples(
        self, name: Split, rank: int = 0, world_size: int = 1
    ) -> tuple[np.ndarray, Scaling]:
        """Return the rows rank::world_size of a split, unscaled, and how they are scaled.

        They are (n, *S), mapped, not read.
        """
        prepared = self.prepared
        return prepared.x(name)[rank::world_size], prepared.scaling

    def served(self, name: Split) -> Served:
        """Return this process's rows of a split, kept where `residency` says."""
        x, scaling = self._own(name)
        device = self._device()
        rows = kept(x, self._residency(name, x.nbytes), device)
        return Served(rows, Scaled(scaling, rows.device))

    def _batches(self, name: Split, shuffle: Callable[[], int] | None = None) -> Batches:
        served = self.served(name)
        samples = len(self.samples(name)[0])
        shares = Shares(samples, self.batch_size, *self._place())
        return Batches(served.rows, served.scaled, shares, shuffle)

    def _own(self, name: Split) -> tuple[np.ndarray, Scaling]:
        return self.samples(name, *self._place())

    def _place(self) -> tuple[int, int]:
        """Return rank and world size."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _epoch(self) -> int:
        return self.trainer.current_epoch if self.trainer else 0

    def _device(self) -> torch.device:
        return self.trainer.strategy.root_device if self.trainer else CPU

    def _residency(self, name: Split, nbytes: int) -> Residency:
        """Return where `nbytes` of a split are kept; one process says so where it is unusual."""
        if self.residency != "auto":
            return self.residency
        processes = self.trainer.num_devices if self.trainer else 1
        found, reason = chosen(nbytes, self._device(), processes)
        if reason and not self._place()[0]:
            print(f"{self.data}, {name}: {reason}; residency is {found}", file=sys.stderr)
        return found


class Codes(DataModule):
    """Serve what a module, such as the layers below, makes of the scaled samples of `source`.

    Codes are made once, in memory; where they do not fit there, again for each batch of samples,
    which stream.
    """

    def __init__(self, source: DataModule, below: nn.Module) -> None:
        super().__init__(source.data, source.batch_size, source.seed, source.residency)
        self.source = source
        self.below = below

    def samples(
        self, name: Split, rank: int = 0, world_size: int = 1
    ) -> tuple[np.ndarray, Scaling]:
        """Return the samples that codes are made of: the rows rank::world_size of the source's."""
        return self.source.samples(name, rank, world_size)

    def served(self, name: Split) -> Served:
        """Return this process's codes of a split, (n, units), or what makes them."""
        if isinstance(self.below, nn.Identity):
            return super().served(name)
        x, scaling = self._own(name)
        nbytes = len(x) * self._codes(x[:1], scaling).nbytes
        device, residency = self._device(), self._residency(name, nbytes)
        if residency == "stream":
            rows = kept(x, residency, device)
            layers = copy.deepcopy(self.below).to(rows.device)
            return Served(rows, Below(Scaled(scaling, rows.device), layers))
        rows = kept(self._codes(x, scaling), residency, device)
        return Served(rows, Scaled(Scaling.none(), rows.device))

    def _codes(self, x: np.ndarray, scaling: Scaling) -> np.ndarray:
        """Return the codes of unscaled samples: (n, *S) -> (n, units) float32."""
        below = Below(Scaled(scaling, CPU), self.below)
        shares = Shares(len(x), self.batch_size)
        codes = np.empty(0, np.float32)
        for place, batch in zip(shares, Batches(Streamed(x, CPU), below, shares), strict=True):
            if not len(codes):
                codes = np.empty((len(x), *batch.shape[1:]), np.float32)
            codes[place] = batch.numpy()
        return codes


class Below:
    """Make codes of samples, not yet scaled, by layers that are not trained."""

    def __init__(self, scaled: Scaled, layers: nn.Module) -> None:
        self.scaled = scaled
        self.layers = layers

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """Return codes: (N, *S) -> (N, units)."""
        codes: Tensor = self.layers(self.scaled(x))
        return codes
