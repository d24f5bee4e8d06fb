"""Ratios of measurements that were taken in the same round, and the figures asked of them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.cases import BARE, FORWARD, OURS, OURS_BY_DEFAULT, PYOD, PYOD_BY_DEFAULT, TABLE
from benchmarks.fixed import TORCH

CASE = ["task", "network", "data", "batch_size", "epochs", "device"]
PEERS = "Lightning and torchvision"


@dataclass(frozen=True)
class Tables:
    """All that was measured: a row a measurement, a row a round, a row a stage and package."""

    measurements: pd.DataFrame
    costs: pd.DataFrame
    imports: pd.DataFrame


@dataclass(frozen=True)
class Target:
    """A figure that the page's first table holds against what was measured."""

    what: str
    least: float | None
    aim: float | None
    values: np.ndarray  # one a round; none where nothing was measured
    note: str = ""
    lower: bool = False  # is better

    @property
    def reached(self) -> str:
        """Return which of the two the median reaches, in a word."""
        if not len(self.values):
            return "not measured"
        sign = -1 if self.lower else 1
        found = sign * round(float(np.median(self.values)), 2)
        if self.aim is not None and found >= sign * self.aim:
            return "the aim"
        return "the least" if self.least is not None and found >= sign * self.least else "no"


def ratio(rows: pd.DataFrame, other: str, ours: str = OURS.name) -> np.ndarray:
    """Return how many times as fast `ours` is as `other`, one number a round that has both."""
    taken = rows[rows.seconds.notna()]
    by_round = taken.pivot(index="round", columns="contestant", values="seconds")
    if not {other, ours} <= set(by_round.columns):
        return np.zeros(0)
    return (by_round[other] / by_round[ours]).dropna().to_numpy()


def spread(values: np.ndarray) -> str:
    """Return the median of some values, and the least and the greatest where there are more."""
    if not len(values):
        return "-"
    middle = number(float(np.median(values)))
    if len(values) == 1:
        return middle
    return f"{middle} ({number(float(min(values)))} to {number(float(max(values)))})"


def number(value: float) -> str:
    """Return a number in three significant digits or, above that, without a fraction."""
    return f"{value:,.0f}" if abs(value) >= 99.95 else f"{value:#.3g}".rstrip(".")


def of_case(table: pd.DataFrame, task: str, network: str, batch_size: int) -> pd.DataFrame:
    """Return the rows of one case on the CPU."""
    chosen = (table.task == task) & (table.network == network) & (table.device == "cpu")
    return table[chosen & (table.batch_size == batch_size)]


def faster_peer(rows: pd.DataFrame) -> str:
    """Return the setting of workers with which Lightning and torchvision are faster."""
    peers = rows[rows.contestant.str.startswith(PEERS)]
    found = peers.groupby("contestant").seconds.median().dropna()
    return str(found.idxmin()) if len(found) else PEERS


def targets(tables: Tables) -> list[Target]:
    """Return what is asked of Hourglass, and what was measured."""
    table, costs = tables.measurements, tables.costs
    dense, convolutional = (of_case(table, "train", name, 256) for name in NETWORKS)
    card, by_default = of_case(table, "train", "card", 256), of_case(table, "train", "card", 0)
    peer = faster_peer(dense)
    found = [
        Target("training, dense, batch 256: the bare loop", 0.92, 1.0, ratio(dense, BARE.name)),
        Target("the same, convolutional", 0.95, 1.0, ratio(convolutional, BARE.name)),
        Target("training, dense, batch 256: Lightning and torchvision", 4, 6,
               ratio(dense, peer), peer.rpartition(", ")[2]),
        Target(f"training, {TABLE}, batch 256: PyOD", 4, None, ratio(card, PYOD.name)),
        Target("the same, either with its default batch: PyOD", None, 10,
               ratio(by_default, PYOD_BY_DEFAULT.name, OURS_BY_DEFAULT.name), aurocs(by_default)),
    ]  # fmt: skip
    for network in (*NETWORKS, "card"):
        rows = of_case(table, "score", network, 4096)
        what = f"scoring, {network}: the bare forward pass"
        found.append(Target(what, 0.9, 1.0, ratio(rows, FORWARD.name)))
    for stage, least, aim in (("train", 4, 3), ("calibrate-threshold", 2, 1.5), ("evaluate", 3, 2)):
        values = (costs[stage] / costs[TORCH]).to_numpy()
        what = f"fixed cost of `{stage}` in times that of `{TORCH}`"
        found.append(Target(what, least, aim, values, lower=True))
    return found


NETWORKS = ("dense", "convolutional")


def aurocs(rows: pd.DataFrame) -> str:
    """Return the AUROC that each contestant came to, in words."""
    if "AUROC" not in rows:
        return ""
    found = rows.groupby("contestant", sort=False).AUROC.median().dropna()
    return "AUROC: " + ", ".join(f"{name} {value:.3f}" for name, value in found.items())
