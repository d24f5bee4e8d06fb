"""Trials of a study: draw settings, train, prune and evaluate, on data loaded once."""

import copy
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
import pytorch_lightning as pl
import torch
from lightning_fabric import Fabric
from pytorch_lightning.callbacks import Checkpoint

from hourglass.core.errors import UserError, one_line
from hourglass.core.settings import params
from hourglass.core.yaml_config import Yaml, import_class
from hourglass.data.batches import Inputs
from hourglass.data.datamodule import DataModule
from hourglass.data.prepared_data import Prepared, Split
from hourglass.detection.inference import best_device
from hourglass.detection.scorers.from_settings import make_scorer
from hourglass.models.base import LitAutoencoder
from hourglass.tracking.entries import settings_params
from hourglass.training.cell_settings import CellSettings, resolve_cell
from hourglass.training.trainer import fit_resumable, make_module, make_trainer, pretrain
from hourglass.tuning.objectives import Objective, Task
from hourglass.tuning.search_space import Space, read_space
from hourglass.tuning.trial_attributes import HISTORY, PARAMS, VALUES

if TYPE_CHECKING:
    from hourglass.tuning.study_spec import StudySpec

MAX_REPORTS = 10  # per trial, because each evaluates the network and writes to the storage


@dataclass(frozen=True)
class Trials:
    """A function that runs trials of one cell in this process, one rank of every training."""

    settings: CellSettings
    space: Space
    objective: Objective
    task: Task
    data: DataModule
    ranks: Fabric

    def __call__(self, trial: optuna.Trial) -> tuple[float, ...] | float:
        """Run one trial on rank 0, and return the objective's values.

        Raises TrialPruned if the pruner stops the trial, and a UserError if its training fails.
        """
        values = self.space.draw(trial)
        settings = self._with_values(values)
        trial.set_user_attr(VALUES, values)
        trial.set_user_attr(PARAMS, settings_params(asdict(settings)))
        self.ranks.broadcast(values)
        rows: list[dict[str, Any]] = []
        try:
            module = self._train(settings, trial, rows)
            results = self.objective(module.network.eval(), self.task)
        finally:
            trial.set_user_attr(HISTORY, rows)
        return results if len(results) > 1 else results[0]

    def follow_rank_zero(self) -> None:
        """Train as another rank, trial by trial, until rank 0 has finished."""
        while (values := self.ranks.broadcast(None)) is not None:
            with suppress(UserError, optuna.TrialPruned):  # rank 0 reports it
                self._train(self._with_values(values), None, [])

    def _with_values(self, values: Yaml) -> CellSettings:
        return replace(self.settings, init_args=self.settings.init_args | values)

    def _train(
        self, settings: CellSettings, trial: optuna.Trial | None, rows: list[dict[str, Any]]
    ) -> LitAutoencoder:
        """Train the variant like stage `train`, and add one row per epoch to `rows`."""
        module = make_module(settings, self.task.prepared.heads)
        # Optuna prunes studies with a single objective only.
        one_value = len(self.objective.names) == 1
        callbacks = [Pruning(trial, self, settings.training.max_epochs)] if one_value else []
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(self.ranks.broadcast(temporary))
            pretrain(settings, folder, None, module, self.data)
            trainer, history = make_trainer(settings, folder, None, trial_callbacks=callbacks)
            history.rows = rows
            fit_resumable(trainer, history, module, self.data)
            self.ranks.barrier()  # all ranks have read the best weights before they are deleted
        return module


class Pruning(Checkpoint):
    """Evaluate the network every few epochs, and stop the training if the pruner decides so.

    Rank 0 has the trial, evaluates the network and asks the pruner; all ranks then raise
    TrialPruned. The base class is Checkpoint only because Lightning calls checkpoints last, after
    the check for diverged trainings.
    """

    def __init__(self, trial: optuna.Trial | None, trials: Trials, max_epochs: int) -> None:
        self.trial = trial
        self.trials = trials
        self.interval = max(1, -(-max_epochs // MAX_REPORTS))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop all ranks: raise TrialPruned, or the UserError of a failed evaluation on rank 0."""
        epoch = trainer.current_epoch + 1
        if epoch % self.interval or epoch == trainer.max_epochs:
            return
        # If only one rank raised an exception, the others would wait for it.
        reason = self._reason_to_stop(pl_module, epoch) if trainer.is_global_zero else None
        reason = trainer.strategy.broadcast(reason)
        if reason == "pruned":
            raise optuna.TrialPruned(f"after epoch {epoch}")
        if reason:
            raise UserError(reason)

    def _reason_to_stop(self, pl_module: pl.LightningModule, epoch: int) -> str:
        """Return "pruned", an error message, or "" to continue."""
        assert self.trial
        network: Any = pl_module.network
        if best_device().type != pl_module.device.type:
            network = copy.deepcopy(network)  # the evaluation moves it to that device
        try:
            (value,) = self.trials.objective(network.eval(), self.trials.task)
            self.trial.report(value, epoch)
        except UserError as error:
            return str(error)
        finally:
            network.train()
        return "pruned" if self.trial.should_prune() else ""


class CachedDataModule(DataModule):
    """A data module that reads each split once for all trainings of a process."""

    @cache  # noqa: B019 - it lives as long as the process
    def rows(self, name: Split) -> Inputs:
        """Return this process's rows of a split; device and rank are the same in all trainings."""
        return super().rows(name)


def load_trials(spec: "StudySpec", worker_index: int) -> Trials:
    """Check all settings, load the data and start the ranks, once per worker."""
    objective, prepared = spec.make_objective(), Prepared.open(spec.cell.prepared)
    settings = resolve_cell(spec.cell, prepared.input_shape, prepared.input_count("train"))
    trainer = settings.trainer
    one_gpu = trainer.get("accelerator") in ("gpu", "cuda", "auto") and trainer.get("devices") == 1
    if one_gpu and torch.cuda.is_available():  # each worker uses another one
        device = worker_index % torch.cuda.device_count()
        settings = replace(settings, trainer=trainer | {"devices": [device]})
    variant = import_class(settings.class_path, LitAutoencoder, settings.model)
    space = read_space(spec.space_file, variant, settings)
    task = Task(prepared, make_scorer(params().score))
    objective.check(task, space)
    # Reject an invalid trainer here, instead of in every trial.
    make_trainer(settings, Path(tempfile.gettempdir()), None, trial_callbacks=())
    data = CachedDataModule(
        spec.cell.data, settings.training.batch_size, settings.seed, settings.residency
    )
    return Trials(settings, space, objective, task, data, _launch_ranks(settings))


def _launch_ranks(settings: CellSettings) -> Fabric:
    """Start the other ranks of the trainings with Lightning; return the connection to them.

    Raises a UserError for a trainer with several machines, because it needs an external launcher.
    """
    nodes = settings.trainer.get("num_nodes", 1)
    if nodes > 1:
        raise UserError(
            f"num_nodes is {nodes}, but a trial trains on one machine; name another `trainer` "
            "in params.yaml, and share the study between machines with HOURGLASS_OPTUNA_STORAGE."
        )
    names = ("accelerator", "devices", "strategy", "num_nodes")
    try:
        ranks = Fabric(**{key: settings.trainer[key] for key in names if key in settings.trainer})
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"Lightning cannot train here ({one_line(error)}); name another `trainer` in "
            "params.yaml."
        ) from None
    ranks.launch()
    return ranks
