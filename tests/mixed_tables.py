"""A table of text, truth values, dates and numbers with missing cells, and detectors of it."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import pandas as pd
import torch

from hourglass.data.columns.codes import codes
from hourglass.data.columns.column import Column
from hourglass.data.table_encoding import TableEncoding
from hourglass.detection.attribution import Profile
from hourglass.detection.calibrators import Conformal
from hourglass.detection.detector import Detector
from hourglass.detection.scorers import Scorer, StandardizedError
from hourglass.detection.scoring import FittedScorer
from hourglass.networks import Dense

SERVICES = ("http", "smtp", "ftp", "dns")
MINUTES_PER_DAY = 24 * 60


def mixed_columns(optional: Sequence[str] = ()) -> list[Column]:
    """Return the columns of `mixed_frame`."""
    columns = [
        Column("amount"),
        Column("service", "categorical", levels=SERVICES),
        Column("member", "boolean", levels=("no", "yes")),
        Column("when", "datetime", parts=("hour", "weekday")),
        Column("TSH"),
    ]
    return [Column(**{**vars(column), "optional": column.name in optional}) for column in columns]


def mixed_frame(count: int, seed: int = 0) -> pd.DataFrame:
    """Return rows: the amount depends on the service, dates are in working hours."""
    rng = np.random.default_rng(seed)
    service = rng.choice(SERVICES, count, p=[0.6, 0.2, 0.15, 0.05])
    minutes = rng.integers(8 * 60, 18 * 60, count) + MINUTES_PER_DAY * rng.integers(0, 300, count)
    tsh = rng.normal(2, 0.5, count)
    tsh[rng.random(count) < 0.2] = np.nan
    return pd.DataFrame(
        {
            "amount": np.exp(rng.normal(3, 1, count) - 2 * (service == "http")).round(2),
            "service": service,
            "member": rng.choice(["yes", "no"], count, p=[0.8, 0.2]),
            "when": pd.Timestamp("2026-01-01") + pd.to_timedelta(minutes, "min"),
            "TSH": tsh.round(3),
        }
    )


@cache
def mixed_detector(scorer: Scorer | None = None, optional: tuple[str, ...] = ()) -> Detector:
    """Return a detector of `mixed_frame`."""
    columns = mixed_columns(optional)
    train, calibration = (codes(mixed_frame(n, seed), columns) for n, seed in ((600, 1), (300, 2)))
    return detector_of_codes(columns, train, calibration, scorer)


def detector_of_codes(
    columns: Sequence[Column],
    train: np.ndarray,
    calibration: np.ndarray,
    scorer: Scorer | None = None,
) -> Detector:
    """Return a detector of codes, (N, C), with a network trained for some steps."""
    encoding = TableEncoding.fit(columns, train)
    torch.manual_seed(0)
    network = Dense([encoding.width], 4, hidden=[16])
    assert encoding.heads is not None
    network.add_heads(encoding.heads)
    inputs = torch.from_numpy(encoding(train))
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(200):
        optimizer.zero_grad()
        network.error(inputs).mean().backward()
        optimizer.step()
    network.eval().requires_grad_(False)
    scoring = FittedScorer.fit(network, encoding, scorer or StandardizedError(), train)
    scores = scoring(calibration)
    described = {
        "data": "mixed",
        "sample_shape": [len(columns)],
        "dtype": "float64",
        "feature_names": [column.name for column in columns],
        "columns": [column.to_dict() for column in columns],
        "scaling": encoding.to_dict(),
    }
    profile = Profile.fit(network, encoding, calibration)
    return Detector(described, scoring, profile, scores, Conformal(0.05)(scores), {})
