"""Measure strong and weak scaling of training over processes; writes docs/benchmarks/scaling.md.

    python scripts/scaling.py                  # needs HOURGLASS_DATA; 20 minutes on two idle cores

Every process has one thread. One process and several alternate, so that a ratio is of neighbouring
runs. Uses GPUs if there are several. Works in build/scaling. --quick writes its page to reports/.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from itertools import product
from typing import Any

import pandas as pd
import torch
from common import ROOT, argument_parser, enter, prepare_missing
from scaling_report import write

NETWORKS = ("dense", "convolutional")


def main() -> None:
    """Measure, and write the page with its figure."""
    parser = argument_parser(__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    quick = arguments.quick
    repeats, batches = (1, [1024]) if quick else (arguments.repeats, [256, 1024, 4096])
    enter(ROOT / "build/scaling")
    prepare_missing("mnist")
    gpus = torch.cuda.device_count()
    powers = [count for count in (2, 4, 8, 16) if count <= gpus]
    accelerator, several = ("gpu", powers) if gpus > 1 else ("cpu", [2])
    rows = [row for n in range(repeats) for row in _round(n, batches, several, accelerator)]
    folder = ROOT / ("reports" if quick else "docs/benchmarks")
    (folder / "images").mkdir(exist_ok=True)
    write(pd.DataFrame(rows), folder)


def _round(
    repeat: int, batches: list[int], several: list[int], accelerator: str
) -> list[dict[str, Any]]:
    """Return one measurement of every network, batch and number of processes."""
    rows = []
    for network, batch_size in product(NETWORKS, batches):
        (one,) = _train(network, batch_size, 1, accelerator)
        for processes in several:
            (all_,) = _train(network, batch_size, processes, accelerator)
            (share,) = _train(network, batch_size // processes, 1, accelerator)
            ratios = {
                "network": network,
                "batch_size": batch_size,
                "processes": processes,
                "strong": one["step"] / all_["step"],
                "weak": processes * share["step"] / all_["step"],
            }
            if accelerator == "cpu":
                copies = _train(network, batch_size // processes, 1, accelerator, processes)
                mean = statistics.mean(each["step"] for each in copies)
                ratios["apart"] = processes * share["step"] / mean
            print(ratios, flush=True)
            rows.append(
                ratios
                | {"repeat": repeat, "one": one["step"], "share": share["step"]}
                | {"together": all_["step"] - share["step"]}
                | {key: all_[key] for key in ("all_reduce", "bytes")}
            )
    return rows


def _train(
    network: str, batch_size: int, processes: int, accelerator: str, copies: int = 1
) -> list[dict[str, Any]]:
    """Return the measurements of a training, or of several independent copies at once."""
    spec = {
        "network": network,
        "batch_size": batch_size,
        "processes": processes,
        "accelerator": accelerator,
        "samples": max(24_576, batch_size * 8) if network == "dense" else 8_192,
    }
    threads = {"OMP_NUM_THREADS": "1"} if accelerator == "cpu" else {}
    worker, started = ROOT / "scripts/scaling_worker.py", []
    with ExitStack() as stack:
        for _ in range(copies):
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            command = [sys.executable, str(worker), json.dumps(spec | {"folder": folder})]
            process = subprocess.Popen(
                command, env=os.environ | threads, stdout=subprocess.PIPE, text=True
            )
            started.append(stack.enter_context(process))
        outputs = [each.communicate()[0] for each in started]
    if any(each.returncode for each in started):
        raise SystemExit(f"the training of {spec} failed")
    return [json.loads(each.splitlines()[-1]) for each in outputs]


if __name__ == "__main__":
    main()
