"""docs/scaling.md: ratios as they were measured, and what the model makes of their parts."""

import os
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from hourglass.evaluation.figures import save
from scalings.outlook import Outlook
from scalings.picture import picture

PICTURE = "images/scaling.png"
EFFICIENCY = 0.9


def write(rows: pd.DataFrame, folder: Path) -> str:
    """Write scaling.md and its figure below `folder`, from the rows of scripts/scaling.py."""
    outlooks = {str(name): _outlook(each) for name, each in rows.groupby("network", sort=False)}
    save(picture(rows, outlooks), folder / PICTURE)
    text = f"""# Scaling

Made by `python scripts/scaling.py --repeats {rows.repeat.nunique()}`: MNIST, each in turn, on
{_machine()}. Dense is 784-256-32-256-784, convolutional has 16 and 32 channels.

Strong: the same batch, shared out; how many times faster a step is. Weak: the same share for each,
however many; how many times more samples a second. Apart: the same of processes that have nothing
to do with each other, which is what the machine can give. Medians, with the range over the runs.

{_ratios(rows).to_markdown(index=False)}

![Speed-up over the batch size, measured and by the model]({PICTURE})

## What it would take to go on

A step of b samples takes one process fixed + each x b; then gradients are added up, and meanwhile
nothing is computed. With W processes in a ring that takes 2 (W - 1) / W times what two need: what
their step takes longer than that of one with its share, which is the all-reduce, and the waiting
for each other. The parts, measured:

{_parts(rows, outlooks).to_markdown(index=False)}

So the batch decides. What the model says of a batch of 4096 samples, as speed-up (efficiency), and
the samples that each process needs in a step for an efficiency of {EFFICIENCY}:

{_predictions(outlooks).to_markdown(index=False)}

It leaves out latency, which grows with W, and that nodes are joined more slowly than processes of
one machine: there the all-reduce takes bytes / bandwidth, and the shares grow in proportion. Where
they get too large for the loss, the learning rate has to grow with the batch, or fewer processes
train more cells at once: `scripts/queue.sh`, `scripts/slurm_array.sh`.
"""
    (folder / "scaling.md").write_text(text, encoding="utf-8")
    return text


def _machine() -> str:
    if torch.cuda.device_count() > 1:
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
    together = max(two.together.median(), two.all_reduce.median())
    return Outlook.fit(medians.index.to_list(), medians.to_list(), together)


def _ratios(rows: pd.DataFrame) -> pd.DataFrame:
    keys = ["network", "batch_size", "processes"]
    ratios = [name for name in ("strong", "weak", "apart") if name in rows]
    table = rows.groupby(keys, sort=False)[ratios].agg(_spread).reset_index()
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
            "together, ms": f"{1e3 * each.together:.2f}",
            "all-reduce alone, ms": f"{1e3 * rows[rows.network == name].all_reduce.median():.2f}",
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
