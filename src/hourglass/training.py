"""The Trainer of one cell: progress that survives a kill, and the best weights."""

import hashlib
import json
import math
import pickle
import shutil
import sys
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from hourglass.callbacks import MONITOR, History, Progress
from hourglass.data.datamodule import DataModule
from hourglass.errors import Refusal, one_line
from hourglass.files import write_json
from hourglass.settings import CellSettings
from hourglass.tracking import Recorder


def resume_state(folder: Path, settings: CellSettings, data_sha256: str) -> dict[str, str]:
    """Return the identity of a training: taken up from `folder` if nothing has changed since.

    What changed may be a setting, the data, a version or this package's code; then the folder is
    emptied and a new identity is written.
    """
    digest = hashlib.sha256(f"{asdict(settings)}{data_sha256}{torch.__version__}".encode())
    package = Path(__file__).parent
    for source in sorted(package.rglob("*.py")):
        digest.update(source.read_bytes())
    path = folder / "state.json"
    if path.exists():
        state = json.loads(path.read_text(encoding="utf-8"))
        if state["digest"] == digest.hexdigest():
            return state
        shutil.rmtree(folder)
    state = {"digest": digest.hexdigest(), "token": uuid.uuid4().hex}
    write_json(path, state)
    return state


def make_trainer(
    settings: CellSettings, folder: Path, recorder: Recorder | None
) -> tuple[pl.Trainer, History]:
    """Return a Trainer that keeps its last and its best epoch in `folder`, and its History."""
    _quieten()
    history = History(f"{settings.data}-{settings.model}", recorder)
    best = ModelCheckpoint(
        folder,
        "best",
        MONITOR,
        save_last=True,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    stopping = EarlyStopping(MONITOR, 0.0, settings.training.patience)
    options: dict[str, Any] = {
        "num_sanity_val_steps": 0,
        "deterministic": True,
        "use_distributed_sampler": False,
    }
    trainer = _trainer(
        **(options | settings.trainer),
        max_epochs=settings.training.max_epochs,
        logger=False,
        callbacks=[stopping, Progress(history.name), history, best],
        default_root_dir=folder,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
    return trainer, history


def _trainer(**arguments: Any) -> pl.Trainer:
    try:
        return pl.Trainer(**arguments)
    except (MisconfigurationException, ValueError) as error:
        raise Refusal(
            f"Lightning's Trainer cannot be made here ({one_line(error)}); name another `trainer` "
            "in params.yaml or change its file in configs/trainer."
        ) from None


def fit(trainer: pl.Trainer, history: History, module: pl.LightningModule, data: DataModule) -> int:
    """Train from the last epoch that was kept, if any, until the end; return the new epochs."""
    last = Path(trainer.default_root_dir) / "last.ckpt"
    known = 0
    state = _last_state(last)
    if state:
        history.load_state_dict(state["callbacks"][history.state_key])
        history.tell_again()
        known = len(history.rows)
        if _complete(state, trainer.max_epochs or 0):
            return 0
    with _threads(data):
        path = last if known else None
        trainer.fit(module, datamodule=data, ckpt_path=path, weights_only=True)
    return len(history.rows) - known


def _last_state(last: Path) -> dict[str, Any] | None:
    """Return the checkpoint of the last epoch; a damaged one is removed, to begin anew."""
    try:
        return load_checkpoint(last) if last.exists() else None
    except (RuntimeError, EOFError, OSError, KeyError, pickle.UnpicklingError) as error:
        print(f"{last} is damaged ({one_line(error)}): training begins anew", file=sys.stderr)
        last.unlink()
        return None


@contextmanager
def _threads(data: DataModule) -> Iterator[None]:
    """Use one thread where a batch is too small to share: others would only wait for each other.

    Below 32,768 elements ATen does not share elementwise work either (at::internal::GRAIN_SIZE).
    """
    before = torch.get_num_threads()
    if data.batch_size * math.prod(data.sample_shape) < 32_768:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _complete(state: dict[str, Any], max_epochs: int) -> bool:
    """Return whether a checkpoint was the last one; Lightning would train on after stopping."""
    stopped = [
        values["stopped_epoch"] > 0
        for key, values in state["callbacks"].items()
        if key.startswith("EarlyStopping")
    ]
    return any(stopped) or state["epoch"] + 1 >= max_epochs


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Return a checkpoint's content on the CPU; nothing in it can run code."""
    return torch.load(path, map_location="cpu", weights_only=True)


def _quieten() -> None:
    """Keep Lightning's banners and its advice about loaders we do not use from the user."""
    import logging

    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        ".*isinstance\\(treespec, LeafSpec\\).*",
        ".*does not have many workers.*",
        ".*num_workers.*",
        ".*exists and is not empty",
    ):
        warnings.filterwarnings("ignore", message)
