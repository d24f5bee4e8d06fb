"""The LightningDataModule: whole batches, indexed out of one resident tensor."""

from collections.abc import Callable, Iterator

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from hourglass.data.packed import Prepared, Split
from hourglass.data.scaling import Scaling
from hourglass.errors import Refusal
from hourglass.workspace import prepared_folder


class Scaled:
    """Scale samples on a device, as a `Scaling` does arrays."""

    def __init__(self, scaling: Scaling, device: torch.device) -> None:
        self.offset = torch.from_numpy(np.asarray(scaling.offset)).to(device)
        self.scale = torch.from_numpy(np.asarray(scaling.scale)).to(device)
        self.shifted = bool(scaling.offset.any())

    def __call__(self, x: Tensor) -> Tensor:
        """Return samples in the units of the network: (N, *S) -> (N, *S) float32."""
        return ((x - self.offset) if self.shifted else x) / self.scale


class Batches:
    """Iterate over a tensor in scaled batches that are made on the tensor's device.

    Shuffling is a function of seed and epoch alone. Of every batch each of `world_size` processes
    takes its share, so that all of them together take the same steps as one process would.
    """

    def __init__(
        self,
        x: Tensor,  # (N, *S) uint8 or float32
        scaling: Scaling,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        shuffle: Callable[[], int] | None = None,  # returns the seed of this epoch's order
    ) -> None:
        self.x = x
        self.scaled = Scaled(scaling, x.device)
        self.batch_size = batch_size
        self.rank = rank
        self.world_size = world_size
        self.shuffle = shuffle

    def __len__(self) -> int:
        """Return the number of batches."""
        return -(-len(self.x) // self.batch_size)

    def __iter__(self) -> Iterator[Tensor]:
        """Yield batches, (n, *S) float32."""
        if self.shuffle is None:
            for start in range(0, len(self.x), self.batch_size):
                share = self.x[start : start + self.batch_size].tensor_split(self.world_size)
                yield self.scaled(share[self.rank])
            return
        generator = torch.Generator().manual_seed(self.shuffle())
        order = torch.randperm(len(self.x), generator=generator).to(self.x.device)
        for batch in order.split(self.batch_size):
            share = batch.tensor_split(self.world_size)[self.rank]
            yield self.scaled(self.x.index_select(0, share))  # copies rows; x[share], elements


class DataModule(pl.LightningDataModule):
    """Serve a prepared data set to a Trainer, kept on the device where it fits there.

    `DataModule("mnist")` serves any data set of configs/data by its name, preparing it where that
    was not done yet. `batch_size` counts samples over all processes together.
    """

    def __init__(self, data: str, batch_size: int = 256, seed: int = 0) -> None:
        super().__init__()
        self.data = data
        self.batch_size = batch_size
        self.seed = seed

    def prepare_data(self) -> None:
        """Prepare the data set where its folder is missing; Lightning calls this on one process."""
        if not prepared_folder(self.data).exists():
            from hourglass.stages.prepare import prepare

            prepare(self.data)

    def setup(self, stage: str | None = None) -> None:
        """Refuse more processes than there are validation samples."""
        trainer = self.trainer
        if trainer and len(self.prepared.split("validation").x) < trainer.world_size:
            raise Refusal(
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

    def _epoch(self) -> int:
        return self.trainer.current_epoch if self.trainer else 0

    def samples(self, name: Split) -> tuple[Tensor, Scaling]:
        """Return a split's samples, (N, *S), and how they are scaled for the network."""
        prepared = self.prepared
        # A copy: torch warns of read-only arrays, and page faults do not belong in the loop.
        return torch.from_numpy(np.array(prepared.split(name).x)), prepared.scaling

    def _batches(self, name: Split, shuffle: Callable[[], int] | None = None) -> Batches:
        x, scaling = self.samples(name)
        trainer = self.trainer
        if trainer is None:
            return Batches(x, scaling, self.batch_size, shuffle=shuffle)
        return Batches(
            x.to(resident_device(x, trainer.strategy.root_device)),
            scaling,
            self.batch_size,
            trainer.global_rank,
            trainer.world_size,
            shuffle,
        )


class Codes(DataModule):
    """Serve what a function, such as the layers below, makes of the scaled samples of `source`."""

    def __init__(self, source: DataModule, below: Callable[[Tensor], Tensor]) -> None:
        super().__init__(source.data, source.batch_size, source.seed)
        self.source = source
        self.below = below

    def samples(self, name: Split) -> tuple[Tensor, Scaling]:
        """Return a split's codes, (N, units) float32, computed once, and that they are scaled."""
        batches = Batches(*self.source.samples(name), self.batch_size)
        with torch.no_grad():
            codes = torch.cat([self.below(batch) for batch in batches])
        return codes, Scaling("none", np.zeros((), np.float32), np.ones((), np.float32))


def resident_device(x: Tensor, device: torch.device) -> torch.device:
    """Return `device` if the data leaves at least half of its free memory, else the CPU."""
    if device.type != "cuda":
        return torch.device("cpu")
    free, _ = torch.cuda.mem_get_info(device)
    return device if x.nbytes < free / 2 else torch.device("cpu")
