"""LightningDataModules of data sets without a workspace: no YAML, and samples in memory."""

from functools import cached_property
from pathlib import Path
from typing import ClassVar

from hourglass.core.paths import raw_folder
from hourglass.core.settings import Residency
from hourglass.data.base import DataSet
from hourglass.data.breast_cancer import BreastCancer
from hourglass.data.credit_card import CreditCard
from hourglass.data.datamodule import DataModule
from hourglass.data.digits import Digits
from hourglass.data.emnist import EMNIST
from hourglass.data.fashion_mnist import FashionMNIST
from hourglass.data.mnist import MNIST
from hourglass.data.prepare import split_samples
from hourglass.data.prepared_data import Prepared, PreparedInMemory


class DataSetModule(DataModule):
    """A data set for any Trainer and LightningModule, split and scaled as `prepare` does.

    `DataSetModule(Table("my.csv", label="kind", normal="good"))` serves an own table. The first use
    loads the samples. A batch is one tensor, (n, *S) float32, scaled, without labels; labels of a
    split are in `prepared.split("test")`. `seed` decides the splits and the order of the batches.
    `folder` holds the raw files, and downloads go there: by default HOURGLASS_DATA, or data/raw.
    For the other parameters, see `DataModule`.
    """

    def __init__(
        self,
        data_set: DataSet,
        batch_size: int = 256,
        seed: int = 0,
        residency: Residency = "auto",
        folder: str | Path | None = None,
    ) -> None:
        super().__init__(type(data_set).__name__, batch_size, seed, residency)
        self.data_set = data_set
        self.folder = Path(folder) if folder else raw_folder()

    def prepare_data(self) -> None:
        """Load the samples, so that one process downloads missing files before all others."""
        _ = self.prepared

    @cached_property
    def prepared(self) -> Prepared:
        """The samples of the five splits, in memory, and the data card."""
        samples, card = split_samples(self.data_set, self.folder, self.seed)
        return PreparedInMemory(Path(self.data), card, samples)


class _NamedDataModule(DataSetModule):
    """A `DataSetModule` of the data set `kind`."""

    kind: ClassVar[type[DataSet]]

    def __init__(
        self,
        batch_size: int = 256,
        seed: int = 0,
        residency: Residency = "auto",
        folder: str | Path | None = None,
    ) -> None:
        super().__init__(self.kind(), batch_size, seed, residency, folder)


class MNISTDataModule(_NamedDataModule):
    """MNIST digits (normal) and Fashion-MNIST articles (anomalous), (1, 28, 28)."""

    kind = MNIST


class FashionMNISTDataModule(_NamedDataModule):
    """Fashion-MNIST articles (normal) and MNIST digits (anomalous), (1, 28, 28)."""

    kind = FashionMNIST


class EMNISTDataModule(_NamedDataModule):
    """MNIST digits (normal) and EMNIST letters (anomalous), (1, 28, 28)."""

    kind = EMNIST


class CreditCardDataModule(_NamedDataModule):
    """Genuine credit-card transactions (normal) and frauds (anomalous), (29,), split by time."""

    kind = CreditCard


class DigitsDataModule(_NamedDataModule):
    """Handwritten digits of scikit-learn: 0 to 7 (normal), 8 and 9 (anomalous), (1, 8, 8)."""

    kind = Digits


class BreastCancerDataModule(_NamedDataModule):
    """Breast tumours of scikit-learn: benign (normal) and malignant (anomalous), (30,)."""

    kind = BreastCancer
