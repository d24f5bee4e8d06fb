"""Stop a trial that falls behind: one decision by epoch, for all processes of the training."""

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import optuna
import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from hourglass.core.errors import UserError
from hourglass.detection.inference import best_device

if TYPE_CHECKING:
    from hourglass.networks import Network

CHECKS = 10  # of a trial, at most: each judges the network and writes to the storage


class Pruning(Checkpoint):
    """Judge the network every few epochs and end the training where the pruner says so.

    The process of rank 0 has the trial, judges and decides; the decision goes to all ranks, which
    raise TrialPruned together. Optuna prunes no study of several objectives. It is a Checkpoint by
    type only: Lightning calls those last, after a training that diverged was ended with the reason.
    """

    def __init__(
        self, trial: optuna.Trial | None, judge: Callable[["Network"], float], max_epochs: int
    ) -> None:
        self.trial = trial
        self.judge = judge
        self.every = max(1, -(-max_epochs // CHECKS))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Raise TrialPruned, or the judge's UserError, on all ranks where rank 0 decides so."""
        epoch = trainer.current_epoch + 1
        if epoch % self.every or epoch == trainer.max_epochs:
            return
        # Whatever ends the training on one rank only would leave the others waiting for it.
        verdict = self._verdict(pl_module, epoch) if trainer.is_global_zero else None
        verdict = trainer.strategy.broadcast(verdict)
        if verdict == "pruned":
            raise optuna.TrialPruned(f"after epoch {epoch}")
        if verdict:
            raise UserError(verdict)

    def _verdict(self, pl_module: pl.LightningModule, epoch: int) -> str:
        assert self.trial
        network: Any = pl_module.network
        if best_device().type != pl_module.device.type:
            network = copy.deepcopy(network)  # judging moves it there
        try:
            self.trial.report(self.judge(network.eval()), epoch)
        except UserError as refusal:
            return str(refusal)
        finally:
            network.train()
        return "pruned" if self.trial.should_prune() else ""
