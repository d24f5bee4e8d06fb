"""Ratios of measurements of the same round, their targets, and their formatting."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.cases import BARE, FORWARD, OURS, OURS_BY_DEFAULT, PYOD, PYOD_BY_DEFAULT, TABLE
from benchmarks.fixed import TORCH

CASE = ["task", "network", "data", "batch_size", "epochs", "device"]
PEERS = "Lightning and torchvision"
NETWORKS = ("dense", "convolutional")


@dataclass(frozen=True)
class Tables:
    """All measurements: one row per measurement, and the fixed costs of one round per row."""

    measurements: pd.DataFrame
    costs: pd.DataFrame


@dataclass(frozen=True)
class Target:
    """A target of the first table of the page, with the measured ratios."""

    what: str
    least: float | None
    aim: float | None
    values: np.ndarray  # one per round; empty if nothing was measured
    note: str = ""
    lower: bool = False  # lower values are better

    @property
    def reached(self) -> str:
        """Return the target that the median reaches: "aim", "required" or "no"."""
        if not len(self.values):
            return "not measured"
        sign = -1 if self.lower else 1
        median = sign * round(float(np.median(self.values)), 2)
        if self.aim is not None and median >= sign * self.aim:
            return "aim"
        return "required" if self.least is not None and median >= sign * self.least else "no"


def ratio(rows: pd.DataFrame, other: str, ours: str = OURS.name) -> np.ndarray:
    """Return the speed of `ours` in multiples of `other`, one ratio per round with both."""
    complete = rows[rows.seconds.notna()]
    by_round = complete.pivot(index="round", columns="contestant", values="seconds")
    if not {other, ours} <= set(by_round.columns):
        return np.zeros(0)
    return (by_round[other] / by_round[ours]).dropna().to_numpy()


def spread(values: np.ndarray) -> str:
    """Return the median of values as text, with the range if there are several."""
    if not len(values):
        return "-"
    median = number(float(np.median(values)))
    if len(values) == 1:
        return median
    return f"{median} ({number(float(min(values)))} to {number(float(max(values)))})"


def number(value: float) -> str:
    """Return a number with three significant digits, or without a fraction from 100 on."""
    return f"{value:,.0f}" if abs(value) >= 99.95 else f"{value:#.3g}".rstrip(".")


def of_case(table: pd.DataFrame, task: str, network: str, batch_size: int) -> pd.DataFrame:
    """Return the rows of one case on the CPU."""
    chosen = (table.task == task) & (table.network == network) & (table.device == "cpu")
    return table[chosen & (table.batch_size == batch_size)]


def faster_peer(rows: pd.DataFrame) -> str:
    """Return the faster contestant of Lightning with torchvision, by number of workers."""
    peers = rows[rows.contestant.str.startswith(PEERS)]
    medians = peers.groupby("contestant").seconds.median().dropna()
    return str(medians.idxmin()) if len(medians) else PEERS


def targets(tables: Tables) -> list[Target]:
    """Return the targets of Hourglass with the measured ratios."""
    table, costs = tables.measurements, tables.costs
    dense, convolutional = (of_case(table, "train", name, 256) for name in NETWORKS)
    card, by_default = of_case(table, "train", "card", 256), of_case(table, "train", "card", 0)
    peer = faster_peer(dense)
    result = [
        Target("training, dense, batch 256: the bare loop", 0.92, 1.0, ratio(dense, BARE.name)),
        Target("training, convolutional, batch 256: the bare loop", 0.95, 1.0,
               ratio(convolutional, BARE.name)),
        Target("training, dense, batch 256: Lightning and torchvision", 4, 6,
               ratio(dense, peer), peer.rpartition(", ")[2]),
        Target(f"training, {TABLE}, batch 256: PyOD", 4, None, ratio(card, PYOD.name)),
        Target(f"training, {TABLE}, default batches: PyOD", None, 10,
               ratio(by_default, PYOD_BY_DEFAULT.name, OURS_BY_DEFAULT.name), aurocs(by_default)),
    ]  # fmt: skip
    for network in (*NETWORKS, "card"):
        rows = of_case(table, "score", network, 4096)
        what = f"scoring, {network}: the bare forward pass"
        result.append(Target(what, 0.9, 1.0, ratio(rows, FORWARD.name)))
    for stage, least, aim in (("train", 4, 3), ("calibrate-threshold", 2, 1.5), ("evaluate", 3, 2)):
        values = (costs[stage] / costs[TORCH]).to_numpy()
        what = f"fixed cost of `{stage}` in multiples of `{TORCH}`"
        result.append(Target(what, least, aim, values, lower=True))
    return result


def aurocs(rows: pd.DataFrame) -> str:
    """Return the AUROC of each contestant, as text."""
    if "AUROC" not in rows:
        return ""
    medians = rows.groupby("contestant", sort=False).AUROC.median().dropna()
    return "AUROC: " + ", ".join(f"{name} {value:.3f}" for name, value in medians.items())


def markdown(rows: Sequence[dict[str, str]]) -> str:
    """Return rows as a Markdown table; missing cells are empty."""
    table = pd.DataFrame(list(rows)).fillna("")
    return table.to_markdown(index=False, disable_numparse=True) + "\n"
