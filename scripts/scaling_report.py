"""docs/benchmarks/scaling.md: measured ratios, and a model of a step that predicts more processes.

The model: a process computes b samples in t(b) = fixed + each * b seconds; then W processes add up
their gradients in a(W) = a(2) * 2 (W - 1) / W, as in a ring (Patarasuk and Yuan 2009) without
latency and without overlap. a(2) is the additional time of a step of two processes over that of one
process with the same number of samples.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from common import write_page
from matplotlib.figure import Figure

from hourglass.evaluation.figures import save
from hourglass.evaluation.figures.style import ANOMALY, FAINT, MARK, NORMAL, log_ticks

PICTURE = "images/scaling.png"
EFFICIENCY = 0.9
STYLES = {"strong": (NORMAL, "o"), "weak": (ANOMALY, "s")}


@dataclass(frozen=True)
class Outlook:
    """A model of one network's training step, fitted to one and two processes; times in seconds."""

    fixed: float  # per step
    each: float  # per sample
    together: float  # for the gradients of two processes, per step

    @classmethod
    def fit(cls, samples: Sequence[float], steps: Sequence[float], together: float) -> "Outlook":
        """Fit the model to the steps of one process by relative errors."""
        y = np.asarray(steps)
        each, fixed = np.polyfit(samples, y, 1, w=1 / y)
        return cls(max(0.0, float(fixed)), float(each), together)

    def step(self, samples: float, processes: int) -> float:
        """Return the seconds of a step with `samples` in each process."""
        together = self.together * 2 * (processes - 1) / processes
        return self.fixed + self.each * samples + together

    def strong(self, batch_size: int, processes: int) -> float:
        """Return the speed-up of a batch that several processes share."""
        return self.step(batch_size, 1) / self.step(batch_size / processes, processes)

    def weak(self, batch_size: int, processes: int) -> float:
        """Return the gain in samples per second with the same share for every process."""
        share = batch_size / processes
        return processes * self.step(share, 1) / self.step(share, processes)

    def share(self, efficiency: float, processes: int) -> float:
        """Return the samples per process and step that give a strong efficiency."""
        # Solve fixed + W each b = W e (fixed + each b + a) for b.
        w, e = processes, efficiency
        together = self.step(0, w)
        return max(0.0, (w * e * together - self.fixed) / (w * self.each * (1 - e)))


def write(rows: pd.DataFrame, folder: Path) -> None:
    """Write scaling.md and its figure below `folder`, and print it."""
    outlooks = {str(name): _outlook(each) for name, each in rows.groupby("network", sort=False)}
    save(_figure(rows, outlooks), folder / PICTURE)
    text = f"""# Scaling

Made by `python scripts/scaling.py --repeats {rows.repeat.nunique()}`: MNIST, alternating runs, on
{_machine()}. Dense is 784-256-32-256-784, convolutional has 16 and 32 channels.

Strong: the speed-up of a step whose batch the processes share. Weak: the gain in samples per second
if every process has the same share. Apart: the same gain of independent processes, which is the
limit of the machine. Medians, with the range over the runs.

{_ratios(rows).to_markdown(index=False)}

![Speed-up over the batch size, measured and by the model]({PICTURE})

## Prediction for more processes

A step of b samples takes one process (fixed + per sample x b) seconds; then gradients are added up
without overlap. With W processes in a ring that synchronisation takes 2 (W - 1) / W times as long
as with two. With two it is the difference between their step and that of one process with the same
share: the all-reduce, and the wait for the slower process. The measured parts:

{_parts(rows, outlooks).to_markdown(index=False)}

The predicted speed-up (efficiency) of a batch of 4096 samples, and the samples per process and step
that give an efficiency of {EFFICIENCY}:

{_predictions(outlooks).to_markdown(index=False)}

The model ignores latency, which grows with W, and the slower network between nodes: there the
all-reduce takes bytes / bandwidth, and the shares grow in proportion. If the batch gets too large
for the loss, raise the learning rate with the batch, or train more cells at once with fewer
processes each: `scripts/queue.sh`, `scripts/slurm_array.sh`.
"""
    write_page(folder / "scaling.md", text)


def _machine() -> str:
    if torch.cuda.device_count() > 1:
        return f"{torch.cuda.device_count()} GPUs ({torch.cuda.get_device_name(0)}, NCCL)"
    return f"{os.cpu_count()} CPU cores (gloo, one thread per process), without a second GPU"


def _outlook(rows: pd.DataFrame) -> Outlook:
    """Return the model of one network, fitted to the medians of the measurements."""
    sizes = rows.batch_size
    one = pd.DataFrame({"samples": sizes, "seconds": rows.one})
    share = pd.DataFrame({"samples": sizes // rows.processes, "seconds": rows.share})
    medians = pd.concat([one, share]).groupby("samples").seconds.median()
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
            "per sample, us": f"{1e6 * each.each:.1f}",
            "synchronisation, ms": f"{1e3 * each.together:.2f}",
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
            row[f"{name}, samples per process"] = f"{each.share(EFFICIENCY, processes):.0f}"
        rows.append(row)
    return pd.DataFrame(rows)


def _figure(rows: pd.DataFrame, outlooks: dict[str, Outlook]) -> Figure:
    """Draw one panel per network, for the smallest number of processes above one."""
    processes = int(rows.processes.min())
    rows = rows[rows.processes == processes]
    figure = Figure(figsize=(9, 4), layout="constrained")
    panels = figure.subplots(1, len(outlooks), squeeze=False, sharey=True)[0]
    for axes, (network, outlook) in zip(panels, outlooks.items(), strict=True):
        table = rows[rows.network == network]
        sizes = np.geomspace(table.batch_size.min() / 2, table.batch_size.max() * 2, 100)
        for kind, (colour, marker) in STYLES.items():
            found = table.groupby("batch_size")[kind].agg(["median", "min", "max"])
            around = [found["median"] - found["min"], found["max"] - found["median"]]
            axes.errorbar(
                found.index, found["median"], around, fmt=marker, color=colour, capsize=3,
                label=f"{kind}, measured",
            )  # fmt: skip
            by_model = [getattr(outlook, kind)(size, processes) for size in sizes]
            dashes = "-" if kind == "strong" else "--"
            axes.plot(sizes, by_model, dashes, color=colour, label=f"{kind}, model")
        axes.axhline(processes, color=MARK, linewidth=1, linestyle=":", label="as many times")
        axes.axhline(1, color=FAINT, linewidth=1)
        axes.set(title=network, xlabel="samples of a step, all processes together")
        log_ticks(axes)
    panels[0].set_ylabel(f"{processes} processes against one")
    panels[0].set_ylim(0, 1.1 * max(processes, rows[[*STYLES]].to_numpy().max()))
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    return figure
