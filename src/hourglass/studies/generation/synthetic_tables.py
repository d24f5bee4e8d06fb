"""Synthetic tables: rows decoded from drawn codes, of the genuine kind and of the anomalous."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from hourglass.core.errors import UserError
from hourglass.data.prepared import Prepared
from hourglass.detection.inference import batched
from hourglass.networks import Network
from hourglass.studies.generation.samplers import Gaussian, Mixture, some

LABEL = "anomaly"  # the column that tells the kinds apart


@dataclass(frozen=True)
class Rows:
    """Hold rows of a table, scaled, and which of them are anomalies."""

    x: np.ndarray  # (N, F) float32
    anomaly: np.ndarray  # (N,) bool

    def frame(self, prepared: Prepared) -> pd.DataFrame:
        """Return the rows in the units of the raw table, with the features' names and LABEL.

        Raises a UserError where a feature bears that name.
        """
        names = prepared.card["feature_names"]
        if LABEL in names:
            raise UserError(
                f"a feature is named {LABEL!r}, as the label is; rename it in the table."
            )
        found = pd.DataFrame(prepared.scaling.inverse(self.x), columns=names)
        return found.assign(**{LABEL: self.anomaly})


def known_rows(prepared: Prepared) -> Rows:
    """Return what may be learnt from: the training split and the anomalies of tuning.

    Raises a UserError for images.
    """
    if not prepared.card["feature_names"]:
        raise UserError(f"{prepared.card['data']} holds images; name a data set that is a table.")
    train, tuning = prepared.split("train"), prepared.split("tuning")
    x = np.concatenate([train.x, tuning.x[tuning.anomaly]])
    return Rows(prepared.scaling(x), np.arange(len(x)) >= len(train.x))


def unseen_rows(prepared: Prepared) -> Rows:
    """Return the rows of the test split."""
    test = prepared.split("test")
    return Rows(prepared.scaling(np.asarray(test.x)), test.anomaly)


@dataclass(frozen=True)
class RowMaker:
    """Make rows like those of one kind: a mixture of their codes, decoded.

    What is decoded lies where reconstructions lie, and lacks what these lack of the rows. To add
    the residuals of real rows would carry these rows along; drawn instead are residuals from one
    Gaussian with the mean and the full covariance of theirs.
    """

    network: Network
    codes: Mixture
    residuals: Gaussian
    low: np.ndarray  # (F,): no feature is below its least value,
    high: np.ndarray  # (F,): or above its largest one

    @classmethod
    def fit(cls, network: Network, x: np.ndarray, seed: int = 0) -> Self:
        """Return the maker of rows like `x`, (n, F) scaled; raises a UserError for a single row."""
        codes = batched(network, network.encode, x)
        left = x - batched(network, network.decode, codes)
        mixture = Mixture.fit(some(codes), seed)
        return cls(network, mixture, Gaussian.fit(left), x.min(0), x.max(0))

    def __call__(self, count: int, seed: int = 0, residuals: bool = True) -> np.ndarray:
        """Return rows, (count, F) float32 scaled, with drawn `residuals` or bare."""
        x = batched(self.network, self.network.decode, self.codes.sample(count, seed))
        if residuals:
            x = x + self.residuals.sample(count, seed + 1)
        return np.clip(x, self.low, self.high)


def synthetic(network: Network, known: Rows, seed: int = 0, residuals: bool = True) -> Rows:
    """Return as many made-up rows of each kind as are known, genuine ones first.

    The network was trained on genuine rows; anomalies are made of the codes that it gives them.
    Where there are fewer than two anomalies none are made.
    """
    parts, kinds = [], []
    for anomalous in (False, True):
        x = known.x[known.anomaly == anomalous]
        if anomalous and len(x) < 2:
            continue
        parts.append(RowMaker.fit(network, x, seed)(len(x), seed + anomalous, residuals))
        kinds.append(np.full(len(x), anomalous))
    return Rows(np.concatenate(parts), np.concatenate(kinds))
