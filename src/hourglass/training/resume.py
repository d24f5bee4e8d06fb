"""What a training that was killed left behind, and whether another may go on from it."""

import hashlib
import json
import pickle
import shutil
import sys
import time
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from hourglass.core.atomic import write_json
from hourglass.core.code_digest import code_digest
from hourglass.core.errors import UserError, one_line
from hourglass.training.callbacks import StopOnPlateau
from hourglass.training.cell_settings import CellSettings

PATIENCE = 120  # seconds that other processes wait for the main one


def resume_or_start(folder: Path, settings: CellSettings, data_sha256: str) -> dict[str, str]:
    """Return the state of the training in `folder`, or of a new one where something has changed.

    What changed may be a setting, the data, a version or this package's code; then the folder is
    emptied. A state is the `digest` of all these, the `token` that names the training, and the
    token of the one it `replaced`, if any.
    """
    digest, old = _digest(settings, data_sha256), _read(folder)
    if old and old["digest"] == digest:
        return old
    if old:
        shutil.rmtree(folder)
    replaced = old["token"] if old else ""
    state = {"digest": digest, "token": uuid.uuid4().hex, "replaced": replaced}
    write_json(folder / "state.json", state)
    return state


def wait_for_rank_zero(folder: Path, settings: CellSettings, data_sha256: str) -> None:
    """Wait until the main process has decided, where a launcher starts all of them at once.

    Raises a UserError where it does not.
    """
    digest, end = _digest(settings, data_sha256), time.monotonic() + PATIENCE
    while (state := _read(folder)) is None or state["digest"] != digest:
        if time.monotonic() > end:
            raise UserError(
                f"the main process did not begin in {folder.as_posix()} within {PATIENCE} s; all "
                "processes must share this folder, the code and the settings."
            )
        time.sleep(0.1)


def _digest(settings: CellSettings, data_sha256: str) -> str:
    code = code_digest("hourglass.training.trainer", settings.class_path.rpartition(".")[0])
    text = f"{asdict(settings)}{data_sha256}{torch.__version__}{code}"
    return hashlib.sha256(text.encode()).hexdigest()


def _read(folder: Path) -> dict[str, str] | None:
    try:
        return json.loads((folder / "state.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def last_epoch(path: Path) -> dict[str, Any] | None:
    """Return the checkpoint of the last epoch; one that cannot be used is removed, to begin anew.

    That is a damaged one, or one that holds more than tensors, numbers and texts: nothing of it has
    run by then.
    """
    try:
        return load_checkpoint(path) if path.exists() else None
    except pickle.UnpicklingError:
        print(f"{path} is no checkpoint of ours: training begins anew", file=sys.stderr)
        path.unlink(missing_ok=True)
        return None
    except (RuntimeError, EOFError, OSError, KeyError) as error:
        print(f"{path} is damaged ({one_line(error)}): training begins anew", file=sys.stderr)
        path.unlink(missing_ok=True)
        return None


def complete(checkpoint: dict[str, Any], max_epochs: int) -> bool:
    """Return whether a checkpoint was the last one; Lightning would train on after stopping."""
    stopped = checkpoint["callbacks"][StopOnPlateau.state_key]["stopped_epoch"] > 0
    return stopped or checkpoint["epoch"] + 1 >= max_epochs


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Return a checkpoint's content on the CPU; nothing in it can run code."""
    return torch.load(path, map_location="cpu", weights_only=True)
