"""One measurement in a process of its own; prints one line of JSON.

    python -m benchmarks.worker '{"case": {...}, "function": "benchmarks.ours:train", ...}'

Imports, and a round on a few samples that loads what is loaded once, come before the clock.
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
from memory import resident

from benchmarks.cases import Case
from hourglass.core.paths import prepared_folder
from hourglass.data.prepared import SPLITS, Prepared, Samples


@dataclass(frozen=True)
class Done:
    """What a contestant did: in which time, to how many samples, and how well.

    `reconstruct` maps scaled samples, (N, *S), to their reconstructions, where it has trained.
    """

    seconds: float
    samples: int
    reconstruct: Callable[[np.ndarray], np.ndarray] | None = None


def main() -> None:
    """Measure what the command line asks for."""
    job = json.loads(sys.argv[1])
    job["case"] = Case(**job["case"])
    found = measured(**job)
    print("\n" + json.dumps(found, allow_nan=False))


def measured(
    case: Case, function: str, arguments: dict[str, int], judged: bool
) -> dict[str, float]:
    """Return seconds, samples, the peak of memory above that after the imports, and quality."""
    module, _, name = function.partition(":")
    contestant: Callable[..., Done] = getattr(import_module(module), name)
    if "tensorflow" not in sys.modules:  # either loads an LLVM of its own, and dies of the other's
        _first_step()
    before = resident("VmRSS")
    if case.task == "prepare":  # which knows no network
        done = contestant(case, **arguments)
    else:
        with _threads(case):
            contestant(case.warm_up(), **arguments)
            done = contestant(case, **arguments)
    found: dict[str, Any] = {"seconds": done.seconds, "samples": done.samples}
    found["peak_bytes"] = resident("VmHWM") - before
    if judged and done.reconstruct:
        found |= quality(case, done.reconstruct)
    if case.network:
        found |= _allowed(case)
    return found


def _first_step() -> None:
    """Have PyTorch load what it loads at the first step of a training: it is an import as well."""
    import torch

    unit = torch.nn.Linear(1, 1)
    optimizer = torch.optim.Adam(unit.parameters(), fused=True)
    unit(torch.zeros(1, 1)).sum().backward()
    optimizer.step()


def _threads(case: Case) -> AbstractContextManager[None]:
    """Give everyone the threads that Hourglass trains such batches on, and all it has to score."""
    from hourglass.training.cpu_tuning import threads_for

    if case.task == "score":
        return nullcontext()
    shape = Prepared.open(prepared_folder(case.data)).sample_shape
    return threads_for(case.batch_size * math.prod(shape))


def quality(case: Case, reconstruct: Callable[[np.ndarray], np.ndarray]) -> dict[str, float]:
    """Return the validation error and the AUROC of the test split, the same way for everyone."""
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


def _allowed(case: Case) -> dict[str, int]:
    """Return the bytes of the data as prepared, and those of the model and a batch."""
    from benchmarks.networks import allowance

    prepared = Prepared.open(prepared_folder(case.data))
    held = (prepared.split(name).x.shape for name in SPLITS[:2])  # train and validation
    size = np.dtype(prepared.card["dtype"]).itemsize
    return {
        "data_bytes": sum(math.prod(shape) for shape in held) * size,
        "model_bytes": allowance(case, prepared.sample_shape),
    }


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)  # taking torch apart would cost half a second a measurement
