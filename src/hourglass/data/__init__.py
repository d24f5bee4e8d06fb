"""Data sets, readers of user files, splits, prepared arrays and DataModules; no models.

Public names, imported on first access: a LightningDataModule per published or bundled data set,
`DataSetModule` for any other `DataSet`, such as `Table` or `Images`, and `DataModule` for a data
set of a workspace.

May import: core.
"""

from typing import TYPE_CHECKING

from hourglass.core.lazy_names import lazy_names

if TYPE_CHECKING:
    from hourglass.data.activations import Activations
    from hourglass.data.base import DataSet
    from hourglass.data.data_set_modules import (
        BreastCancerDataModule,
        CreditCardDataModule,
        DataSetModule,
        DigitsDataModule,
        EMNISTDataModule,
        FashionMNISTDataModule,
        MNISTDataModule,
    )
    from hourglass.data.datamodule import DataModule
    from hourglass.data.images import Images
    from hourglass.data.series import Series
    from hourglass.data.table import Table

_MODULES = {
    "Activations": "activations",
    "DataModule": "datamodule",
    "DataSet": "base",
    "Images": "images",
    "Series": "series",
    "Table": "table",
    **dict.fromkeys(
        (
            "BreastCancerDataModule",
            "CreditCardDataModule",
            "DataSetModule",
            "DigitsDataModule",
            "EMNISTDataModule",
            "FashionMNISTDataModule",
            "MNISTDataModule",
        ),
        "data_set_modules",
    ),
}
__all__ = [
    "Activations",
    "BreastCancerDataModule",
    "CreditCardDataModule",
    "DataModule",
    "DataSet",
    "DataSetModule",
    "DigitsDataModule",
    "EMNISTDataModule",
    "FashionMNISTDataModule",
    "Images",
    "MNISTDataModule",
    "Series",
    "Table",
]
__getattr__, __dir__ = lazy_names(__name__, _MODULES)
