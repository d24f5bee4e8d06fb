"""Measure what several processes gain over one, strong and weak: writes docs/scaling.md.

    python scripts/scaling.py                  # needs HOURGLASS_DATA; 20 minutes on two idle cores

Every process has one thread. One process and several are measured in turn, so that a ratio is of
neighbouring runs. On GPUs where there are any. Works in build/scaling. --quick is a trial of the
script, whose page goes to reports/.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from scalings.outlook import Outlook
from scalings.picture import picture
from workspace import ROOT, enter

from hourglass.figures import save
from hourglass.stages.prepare import prepare
from hourglass.workspace import prepared_folder

NETWORKS = ("dense", "convolutional")
PICTURE = "images/scaling.png"
EFFICIENCY = 0.9


def main() -> None:
    """Measure, and write the page with its figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    repeats, batches = (1, [1024]) if quick else (parser.parse_args().repeats, [256, 1024, 4096])
    os.environ["HOURGLASS_DATA"] = str(Path(os.environ["HOURGLASS_DATA"]).absolute())
    enter(ROOT / "build/scaling")
    if not prepared_folder("mnist").exists():
        prepare("mnist")
    gpus = torch.cuda.device_count()
    accelerator, several = ("gpu", _powers(gpus)) if gpus > 1 else ("cpu", [2])
    rows = [row for n in range(repeats) for row in _round(n, batches, several, accelerator)]
    folder = ROOT / ("reports" if quick else "docs")
    (folder / "images").mkdir(exist_ok=True)
    _write(pd.DataFrame(rows), accelerator, folder)


def _powers(most: int) -> list[int]:
    return [count for count in (2, 4, 8, 16) if count <= most]


def _round(
    repeat: int, batches: list[int], several: list[int], accelerator: str
) -> list[dict[str, Any]]:
    """Return the ratios of every network, batch and number of processes, measured once."""
    rows = []
    for network in NETWORKS:
        for batch_size in batches:
            one = _train(network, batch_size, 1, accelerator)
            for processes in several:
                all_ = _train(network, batch_size, processes, accelerator)
                share = _train(network, batch_size // processes, 1, accelerator)
                rows.append(
                    {
                        "repeat": repeat,
                        "network": network,
                        "batch_size": batch_size,
                        "processes": processes,
                        "strong": one["step"] / all_["step"],
                        "weak": processes * share["step"] / all_["step"],
                        "one": one["step"],
                        "share": share["step"],
                        "all_reduce": all_["all_reduce"],
                        "bytes": all_["bytes"],
                    }
                )
                print({key: rows[-1][key] for key in list(rows[-1])[:6]}, flush=True)
    return rows


def _train(network: str, batch_size: int, processes: int, accelerator: str) -> dict[str, Any]:
    spec = {
        "network": network,
        "batch_size": batch_size,
        "processes": processes,
        "accelerator": accelerator,
        "samples": max(24_576, batch_size * 8) if network == "dense" else 8_192,
    }
    threads = {"OMP_NUM_THREADS": "1"} if accelerator == "cpu" else {}
    with tempfile.TemporaryDirectory() as folder:
        worker, text = ROOT / "scripts/scalings/worker.py", json.dumps(spec | {"folder": folder})
        done = subprocess.run(
            [sys.executable, worker, text],
            env=os.environ | threads,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _write(rows: pd.DataFrame, accelerator: str, folder: Path) -> None:
    outlooks = {str(name): _outlook(each) for name, each in rows.groupby("network", sort=False)}
    save(picture(rows, outlooks), folder / PICTURE)
    text = f"""# Scaling

Made by `python scripts/scaling.py`: MNIST, {rows.repeat.nunique()} runs of each, in turn, on
{_machine(accelerator)}. Dense is 784-256-32-256-784, convolutional has 16 and 32 channels.

Strong: the same batch, shared out; how many times faster a step is. Weak: the same share for each,
however many; how many times more samples a second. Medians, with the range over the runs.

{_ratios(rows).to_markdown(index=False)}

![Speed-up over the batch size, measured and by the model]({PICTURE})

## What it would take to go on

A step of b samples takes one process fixed + each x b; then gradients are added up, and meanwhile
nothing is computed. With W processes in a ring that takes 2 (W - 1) / W times what two need. The
parts, measured:

{_parts(rows, outlooks).to_markdown(index=False)}

So the batch decides. What the model says of a batch of 4096 samples, as speed-up (efficiency), and
the samples that each process needs in a step for an efficiency of {EFFICIENCY}:

{_predictions(outlooks).to_markdown(index=False)}

It leaves out latency, which grows with W, and that nodes are joined more slowly than processes of
one machine: there the all-reduce takes bytes / bandwidth, and the shares grow in proportion.
"""
    (folder / "scaling.md").write_text(text, encoding="utf-8")
    print(text)


def _machine(accelerator: str) -> str:
    if accelerator == "gpu":
        return f"{torch.cuda.device_count()} GPUs ({torch.cuda.get_device_name(0)}, NCCL)"
    return f"{os.cpu_count()} CPU cores (gloo, one thread a process); there was no second GPU"


def _outlook(rows: pd.DataFrame) -> Outlook:
    """Return the model of one network by the medians of what was measured."""
    sizes = rows.batch_size
    steps = pd.concat(
        [
            pd.DataFrame({"samples": sizes, "seconds": rows.one}),
            pd.DataFrame({"samples": sizes // rows.processes, "seconds": rows.share}),
        ]
    )
    medians = steps.groupby("samples").seconds.median()
    two = rows[rows.processes == 2]
    return Outlook.fit(medians.index.to_list(), medians.to_list(), two.all_reduce.median())


def _ratios(rows: pd.DataFrame) -> pd.DataFrame:
    keys = ["network", "batch_size", "processes"]
    table = rows.groupby(keys, sort=False)[["strong", "weak"]].agg(_spread).reset_index()
    return table.rename(columns={"batch_size": "batch"})


def _spread(values: pd.Series) -> str:
    return f"{values.median():.2f} ({values.min():.2f} to {values.max():.2f})"


def _parts(rows: pd.DataFrame, outlooks: dict[str, Outlook]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "network": name,
            "gradient, MB": f"{rows[rows.network == name].bytes.iloc[0] / 1e6:.2f}",
            "fixed, ms": f"{1e3 * each.fixed:.2f}",
            "each sample, us": f"{1e6 * each.each:.1f}",
            "all-reduce of two, ms": f"{1e3 * each.all_reduce:.2f}",
        }
        for name, each in outlooks.items()
    )


def _predictions(outlooks: dict[str, Outlook]) -> pd.DataFrame:
    rows = []
    for processes in (2, 4, 8, 16, 32):
        row: dict[str, Any] = {"processes": processes}
        for name, each in outlooks.items():
            strong = each.strong(4096, processes)
            row[name] = f"{strong:.1f} ({strong / processes:.0%})"
            row[f"{name}, samples each"] = f"{each.share(EFFICIENCY, processes):.0f}"
        rows.append(row)
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main()
