"""Checkpoints: the best weights, and the state needed to resume a training after a crash."""

import hashlib
import json
import math
import pickle
import shutil
import sys
import time
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from torch import Tensor

from hourglass.core.atomic import write_json
from hourglass.core.code_digest import code_digest
from hourglass.core.errors import UserError, one_line
from hourglass.training.callbacks import MONITOR, StopOnPlateau
from hourglass.training.cell_settings import CellSettings

MAX_WRITING_SHARE = 1 / 50  # of the training time
RANK_ZERO_TIMEOUT_SECONDS = 120


class BestAndLastCheckpoint(Checkpoint):
    """Keep the weights of the best epoch in memory, and write the last epoch to the file `path`.

    The file contains everything needed to resume, including the best weights. It is written after
    the first and the last epoch, and in between as often as MAX_WRITING_SHARE allows. A training
    that is killed repeats the epochs since the last write, with the same result. If `path` is None,
    no file is written.
    """

    state_key = "BestAndLastCheckpoint"

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.best_error = math.inf
        self.weights: dict[str, Tensor] = {}
        self._next_write = 0.0  # in seconds of the monotonic clock

    def state_dict(self) -> dict[str, Any]:
        """Return the best weights and their validation error."""
        return {"best_error": self.best_error, "weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best weights of a resumed training."""
        self.best_error, self.weights = state_dict["best_error"], state_dict["weights"]

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the weights if they are the best so far; write the file if it is due."""
        error = float(trainer.callback_metrics[MONITOR])
        if error < self.best_error:
            self.best_error = error
            self.weights = {key: value.clone() for key, value in pl_module.state_dict().items()}
        if self.path is None:
            return
        is_last = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        start = time.monotonic()
        # All processes must write together, so it is enough that the file is due on one of them.
        is_due = is_last or start >= self._next_write
        if trainer.strategy.reduce_boolean_decision(is_due, all=False):
            temporary = self.path.with_name(f".{self.path.name}.writing")
            trainer.save_checkpoint(temporary)
            if trainer.is_global_zero:
                temporary.replace(self.path)
            end = time.monotonic()
            self._next_write = end + (1 / MAX_WRITING_SHARE - 1) * (end - start)


def last_epoch(path: Path) -> dict[str, Any] | None:
    """Return the checkpoint of the last epoch, or None; delete a file that cannot be used.

    Such a file is damaged, or contains objects other than tensors, numbers and strings. No code
    from the file runs.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True) if path.exists() else None
    except pickle.UnpicklingError:
        reason = "is not a checkpoint of Hourglass"
    except (RuntimeError, EOFError, OSError, KeyError) as error:
        reason = f"is damaged ({one_line(error)})"
    print(f"{path} {reason}: training starts from the beginning", file=sys.stderr)
    path.unlink(missing_ok=True)
    return None


def is_complete(checkpoint: dict[str, Any], max_epochs: int) -> bool:
    """Return True if a checkpoint is the last of its training.

    Lightning does not check this: it would continue the training.
    """
    stopped = checkpoint["callbacks"][StopOnPlateau.state_key]["stopped_epoch"] > 0
    return stopped or checkpoint["epoch"] + 1 >= max_epochs


def resume_or_start(folder: Path, settings: CellSettings, data_sha256: str) -> dict[str, str]:
    """Return the state of the training in `folder`; start a new training if an input has changed.

    The inputs are settings, data, torch's version and the training code. If one has changed, the
    folder is emptied. A state contains the `digest` of the inputs, the `token` that identifies the
    training, and in `replaced` the token of the previous training, or "".
    """
    digest, state = _digest(settings, data_sha256), _read_state(folder)
    if state and state["digest"] == digest:
        return state
    replaced = ""
    if state:
        replaced = state["token"]
        shutil.rmtree(folder)
    state = {"digest": digest, "token": uuid.uuid4().hex, "replaced": replaced}
    write_json(folder / "state.json", state)
    return state


def wait_for_rank_zero(folder: Path, settings: CellSettings, data_sha256: str) -> None:
    """Wait until rank 0 has called `resume_or_start` with the same arguments.

    This is necessary if a launcher starts all ranks at once.

    Raises a UserError after RANK_ZERO_TIMEOUT_SECONDS.
    """
    digest, end = _digest(settings, data_sha256), time.monotonic() + RANK_ZERO_TIMEOUT_SECONDS
    while (state := _read_state(folder)) is None or state["digest"] != digest:
        if time.monotonic() > end:
            raise UserError(
                f"the main process did not begin in {folder.as_posix()} within "
                f"{RANK_ZERO_TIMEOUT_SECONDS} s; all processes must share this folder, the "
                "code and the settings."
            )
        time.sleep(0.1)


def _digest(settings: CellSettings, data_sha256: str) -> str:
    code = code_digest("hourglass.training.trainer", settings.class_path.rpartition(".")[0])
    text = f"{asdict(settings)}{data_sha256}{torch.__version__}{code}"
    return hashlib.sha256(text.encode()).hexdigest()


def _read_state(folder: Path) -> dict[str, str] | None:
    try:
        return json.loads((folder / "state.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
