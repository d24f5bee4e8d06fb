"""Speed-up over the batch size: what was measured, with its range, and what the model says."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hourglass.evaluation.figures.style import ANOMALY, FAINT, MARK, NORMAL, log_ticks
from scalings.outlook import Outlook

LOOKS = {"strong": (NORMAL, "o"), "weak": (ANOMALY, "s")}


def picture(rows: pd.DataFrame, outlooks: dict[str, Outlook]) -> Figure:
    """Draw a panel a network, for the smallest number of processes beyond one."""
    processes = int(rows.processes.min())
    rows = rows[rows.processes == processes]
    figure = Figure(figsize=(9, 4), layout="constrained")
    panels = figure.subplots(1, len(outlooks), squeeze=False, sharey=True)[0]
    for axes, (network, outlook) in zip(panels, outlooks.items(), strict=True):
        table = rows[rows.network == network]
        sizes = np.geomspace(table.batch_size.min() / 2, table.batch_size.max() * 2, 100)
        for kind, (colour, marker) in LOOKS.items():
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
    panels[0].set_ylim(0, 1.1 * max(processes, rows[[*LOOKS]].to_numpy().max()))
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    return figure
