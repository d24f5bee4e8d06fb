"""One trial: draw, train, judge. What all trials of a process share is loaded once."""

import tempfile
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import optuna
from lightning_fabric import Fabric
from pytorch_lightning import Callback
from torch import OutOfMemoryError

from hourglass.core.errors import UserError, one_line
from hourglass.core.yaml_config import Yaml
from hourglass.data.datamodule import DataModule
from hourglass.data.prepared import Split
from hourglass.data.residency import Rows
from hourglass.models.base import LitAutoencoder
from hourglass.networks import Network
from hourglass.tracking.stage_records import settings_params
from hourglass.training.cell_settings import CellSettings
from hourglass.training.trainer import fit_resumable, make_module, make_trainer, pretrain
from hourglass.tuning.attributes import HISTORY, PARAMS, REFUSED, VALUES
from hourglass.tuning.objectives import Objective, Task
from hourglass.tuning.pruning import Pruning
from hourglass.tuning.retrying_storage import is_away
from hourglass.tuning.search_space import Space


class LoadedData(DataModule):
    """Serve a data set to one training after another, read once."""

    @cache  # noqa: B019 - it lives as long as the process
    def rows(self, name: Split) -> Rows:
        """Return this process's rows of a split; all trainings have one device and one rank."""
        return super().rows(name)


@dataclass(frozen=True)
class Trials:
    """Run the trials of one cell in this process, which is one of the `ranks` of each training."""

    settings: CellSettings
    space: Space
    objective: Objective
    task: Task
    data: DataModule
    ranks: Fabric

    def __call__(self, trial: optuna.Trial) -> tuple[float, ...] | float:
        """Return the objective's values of one draw.

        Raises TrialPruned where it fell behind, and a UserError, noted in the trial, where its
        training failed by itself.
        """
        drawn = self.space.draw(trial)
        chosen = self.chosen(drawn)
        trial.set_user_attr(VALUES, drawn)
        trial.set_user_attr(PARAMS, settings_params(asdict(chosen)))
        self.ranks.broadcast(drawn)
        rows: list[dict[str, Any]] = []
        try:
            module = self.train(chosen, trial, rows)
            values = self.judge(module.network.eval())
        except optuna.TrialPruned:
            raise
        except Exception as error:
            if is_away(error):
                raise  # it was the storage that failed: the trial is to run again
            # Noted, so that no command draws it again. A mistake in the code ends this one.
            trial.set_user_attr(REFUSED, str(error) or type(error).__name__)
            if isinstance(error, OutOfMemoryError) and self.ranks.world_size == 1:
                raise UserError(f"out of memory: {one_line(error)}.") from None
            raise
        finally:
            trial.set_user_attr(HISTORY, rows)
        return values if len(values) > 1 else values[0]

    def follow(self) -> None:
        """Train along with rank 0, trial by trial, until it has no more."""
        while (drawn := self.ranks.broadcast(None)) is not None:
            try:
                self.train(self.chosen(drawn), None, [])
            except (UserError, optuna.TrialPruned):
                continue  # as on rank 0, which says why

    def chosen(self, drawn: Yaml) -> CellSettings:
        """Return the cell's settings with those of a draw in place of its own."""
        return replace(self.settings, init_args=self.settings.init_args | drawn)

    def train(
        self, settings: CellSettings, trial: optuna.Trial | None, rows: list[dict[str, Any]]
    ) -> LitAutoencoder:
        """Return the variant, trained as `train` would, and fill the rows of its history."""
        module = make_module(settings)
        with tempfile.TemporaryDirectory() as folder:
            where = Path(self.ranks.broadcast(folder))
            pretrain(settings, where, None, module, self.data)
            trainer, history = make_trainer(settings, where, None, watching=self._pruning(trial))
            history.rows = rows
            fit_resumable(trainer, history, module, self.data)
            self.ranks.barrier()  # before the folder goes: each has its best epoch from there
        return module

    def judge(self, network: Network) -> tuple[float, ...]:
        """Return the objective's values of a network in evaluation mode."""
        return self.objective(network, self.task)

    def _pruning(self, trial: optuna.Trial | None) -> list[Callback]:
        if len(self.objective.names) > 1:
            return []
        epochs = self.settings.training.max_epochs
        return [Pruning(trial, lambda network: self.judge(network)[0], epochs)]
