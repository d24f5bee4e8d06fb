"""Training from settings, and the test images, for all rows."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hourglass.core.paths import prepared_folder
from hourglass.core.yaml_config import import_class, resolve
from hourglass.data.datamodule import DataModule
from hourglass.data.prepared_data import Prepared
from hourglass.models.base import LitAutoencoder
from hourglass.studies.classification.labelled_splits import LabelledSplits, read_labelled_splits
from hourglass.training.cell_settings import CellSettings, Training
from hourglass.training.checkpoints import resume_or_start
from hourglass.training.trainer import fit_resumable, make_trainer, pretrain


@dataclass(frozen=True)
class Run:
    """One measurement: its seed, and the share of the full number of epochs."""

    seed: int
    share: float

    def epochs(self, full: int) -> int:
        """Return the number of epochs."""
        return max(1, round(full * self.share))


@dataclass(frozen=True)
class Row:
    """One row of the page: a published figure, the value to reach, and the measurement of ours."""

    name: str
    what: str
    source: str
    theirs: float
    floor: float
    unit: str
    measure: Callable[[Run], float]
    lower: bool = True  # lower values are better


def settings_of(
    name: str, class_path: str, init_args: dict[str, Any], plan: Training, run: Run, data: str
) -> CellSettings:
    """Return the settings of a training; `plan` has the full number of epochs."""
    kind = import_class(class_path, LitAutoencoder, name)
    return CellSettings(
        data=data,
        model=name,
        class_path=class_path,
        init_args=resolve(kind, init_args, name, {"sample_shape": [1, 28, 28]}),
        training=replace(plan, max_epochs=run.epochs(plan.max_epochs)),
        trainer={"accelerator": "auto", "devices": 1},
        seed=run.seed,
    )


def trained(settings: CellSettings, module: LitAutoencoder, whole: bool = True) -> LitAutoencoder:
    """Pre-train and train a module; without `whole` only pre-train it."""
    folder = Path("checkpoints", f"{settings.data}-{settings.model}-{settings.seed}")
    sha256 = Prepared.open(prepared_folder(settings.data)).card["sha256"]
    resume_or_start(folder, settings, sha256)
    data = DataModule(settings.data, settings.training.batch_size, settings.seed)
    pretrain(settings, folder, None, module, data)
    if whole:
        trainer, history = make_trainer(settings, folder, None)
        fit_resumable(trainer, history, module, data)
    return module.eval()


def analyses_of(data: str, seed: int) -> tuple[Prepared, LabelledSplits]:
    """Return a data set and its labelled samples."""
    prepared = Prepared.open(prepared_folder(data))
    return prepared, read_labelled_splits(prepared, seed)


def test_images(data: str) -> torch.Tensor:
    """Return the official test images, scaled: (10,000, 1, 28, 28)."""
    prepared, parts = analyses_of(data, 0)
    return torch.from_numpy(prepared.scaling(np.asarray(parts.test.x)))
