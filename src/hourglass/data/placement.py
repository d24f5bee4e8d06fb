"""Where samples are kept while a network trains on them: by their size and by what is free."""

from typing import get_args

import numpy as np
import psutil
import torch

from hourglass.core.errors import UserError
from hourglass.core.settings import Residency
from hourglass.data.streaming import Resident, Rows, Streamed, copied, mapped


def checked(residency: Residency) -> Residency:
    """Return `residency` if it is one; else raise a UserError."""
    known = get_args(Residency)
    if residency not in known:
        raise UserError(f"residency is {residency!r}, but must be one of {', '.join(known)}.")
    return residency


def kept(x: np.ndarray, residency: Residency, device: torch.device) -> Rows:
    """Return rows (n, *S) where a `residency` other than "auto" says; only `stream` reads none.

    On the CPU `host` is `device`. Batches for a device that is neither CPU nor CUDA are made on the
    CPU, and the Trainer moves them.
    """
    place = device if device.type == "cuda" else torch.device("cpu")
    if residency == "stream":
        return Streamed(x, place)
    own = x if x.flags.writeable and not mapped(x) else copied(x)
    if residency == "host" and place.type == "cuda":
        return Streamed(own, place)
    return Resident(torch.from_numpy(own).to(place))


def chosen(nbytes: int, device: torch.device, processes: int = 1) -> tuple[Residency, str]:
    """Return where `nbytes` belong, and where that is not on the device, why, as a clause.

    On the device where they leave half of its free memory, else in the machine's, of which each of
    `processes` takes as much, else in the file.
    """
    size, reason = f"{nbytes / 1e9:.3g} GB", ""
    if device.type == "cuda":
        if fits(nbytes, device):
            return "device", ""
        reason = f"{size} are more than half of what is free on the GPU"
    available = psutil.virtual_memory().available
    if nbytes * processes < available / 2:
        return ("host" if reason else "device"), reason
    held = f"{size} in {processes} processes" if processes > 1 else size
    return "stream", f"{held} are more than half of the {available / 1e9:.3g} GB available"


def fits(nbytes: int, device: torch.device) -> bool:
    """Return whether data leaves at least half of a CUDA device's free memory."""
    free, _ = torch.cuda.mem_get_info(device)
    return nbytes < free / 2
