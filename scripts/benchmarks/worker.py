"""One measurement in a process of its own, printed as one line of JSON.

    python -m benchmarks.worker '{"case": {...}, "function": "benchmarks.ours:train", ...}'

The clock starts after the imports and a round on a few samples, which warms up the process.
"""

import json
import math
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from common import resident_bytes

from benchmarks.cases import Case
from hourglass.core.paths import prepared_folder
from hourglass.data.prepared_data import SPLITS, Prepared, Samples


@dataclass(frozen=True)
class Done:
    """The result of a contestant: its time, its samples, and a trained network.

    `reconstruct` maps scaled samples, (N, *S), to their reconstructions.
    """

    seconds: float
    samples: int
    reconstruct: Callable[[np.ndarray], np.ndarray] | None = None


def main() -> None:
    """Run the job in the first argument."""
    job = json.loads(sys.argv[1])
    job["case"] = Case(**job["case"])
    print("\n" + json.dumps(measure(**job), allow_nan=False))


def measure(
    case: Case, function: str, arguments: dict[str, int], with_quality: bool
) -> dict[str, float]:
    """Return seconds, samples, peak memory above that after the imports, and quality."""
    module, _, name = function.partition(":")
    contestant: Callable[..., Done] = getattr(import_module(module), name)
    if "tensorflow" not in sys.modules:  # both load an LLVM, which conflict
        _first_step()
    before = resident_bytes("VmRSS")
    if case.task == "prepare":  # without a network
        done = contestant(case, **arguments)
    else:
        with _threads(case):
            contestant(case.warm_up(), **arguments)
            done = contestant(case, **arguments)
    measured: dict[str, Any] = {"seconds": done.seconds, "samples": done.samples}
    measured["peak_bytes"] = resident_bytes("VmHWM") - before
    if with_quality and done.reconstruct:
        measured |= quality(case, done.reconstruct)
    if case.network:
        measured |= _needed_bytes(case)
    return measured


def _first_step() -> None:
    """Make PyTorch load everything that it loads at the first training step."""
    import torch

    unit = torch.nn.Linear(1, 1)
    optimizer = torch.optim.Adam(unit.parameters(), fused=True)
    unit(torch.zeros(1, 1)).sum().backward()
    optimizer.step()


def _threads(case: Case) -> AbstractContextManager[None]:
    """Set the threads that Hourglass uses for such batches; scoring uses all threads."""
    from hourglass.training.cpu_tuning import threads_for

    if case.task == "score":
        return nullcontext()
    shape = Prepared.open(prepared_folder(case.data)).input_shape
    return threads_for(case.batch_size * math.prod(shape))


def quality(case: Case, reconstruct: Callable[[np.ndarray], np.ndarray]) -> dict[str, float]:
    """Return the validation error and the AUROC on the test split, equally for all contestants."""
    from sklearn.metrics import roc_auc_score

    prepared = Prepared.open(prepared_folder(case.data))

    def errors(samples: Samples) -> np.ndarray:
        parts = []
        for start in range(0, len(samples.x), 4096):
            x = prepared.scaling(np.asarray(samples.x[start : start + 4096]))
            parts.append(np.square(reconstruct(x) - x).reshape(len(x), -1).mean(1))
        return np.concatenate(parts)

    test = prepared.split("test")
    return {
        "validation_error": float(errors(prepared.split("validation")).mean()),
        "AUROC": float(roc_auc_score(test.anomaly, errors(test))),
    }


def _needed_bytes(case: Case) -> dict[str, int]:
    """Return the bytes of the prepared data, and of the model with a batch."""
    from benchmarks.networks import allowance

    prepared = Prepared.open(prepared_folder(case.data))
    held = (prepared.split(name).x.shape for name in SPLITS[:2])  # train and validation
    size = np.dtype(prepared.card["dtype"]).itemsize
    return {
        "data_bytes": sum(math.prod(shape) for shape in held) * size,
        "model_bytes": allowance(case, prepared.input_shape),
    }


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # the tear-down of torch would take half a second
