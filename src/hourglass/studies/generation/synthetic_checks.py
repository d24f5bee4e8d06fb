"""Whether synthetic rows are of use, and whether they are copies."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

from hourglass.core.errors import UserError
from hourglass.studies.generation.distances import nearest
from hourglass.studies.generation.synthetic_tables import Rows

CLOSE = 0.01  # a quantile of the distances of real test rows: closer rows look copied
CLASSIFIERS: dict[str, Callable[[int], LogisticRegression | HistGradientBoostingClassifier]] = {
    "logistic": lambda seed: LogisticRegression(max_iter=1000, random_state=seed),
    "boosting": lambda seed: HistGradientBoostingClassifier(random_state=seed),
}


def train_on_synthetic(sets: dict[str, Rows], test: Rows, seed: int = 0) -> pd.DataFrame:
    """Return what classifiers that were trained on each of the sets find in real test rows.

    A row a classifier and set: classifier, trained_on, rows, AUROC, average_precision. One of the
    sets should be the real rows that the others were made of. Raises a UserError where a set or the
    test has rows of one kind only.
    """
    for name, each in {**sets, "test": test}.items():
        if len(np.unique(each.anomaly)) < 2:
            raise UserError(
                f"the rows of {name} are all of one kind, but a classifier needs genuine ones and "
                "anomalies; label some anomalies in the raw table."
            )
    rows = []
    for kind, make in CLASSIFIERS.items():
        for name, each in sets.items():
            score = make(seed).fit(each.x, each.anomaly).predict_proba(test.x)[:, 1]
            found = roc_auc_score(test.anomaly, score), average_precision_score(test.anomaly, score)
            rows.append((kind, name, len(each.x), *map(float, found)))
    return pd.DataFrame(
        rows, columns=["classifier", "trained_on", "rows", "AUROC", "average_precision"]
    )


def copies(made: dict[str, Rows], known: Rows, test: Rows) -> pd.DataFrame:
    """Return how close made-up rows are to the nearest they were made of, beside real test rows.

    A row a kind and source: kind, source, rows, smallest_distance, median_distance, share_close,
    exact_copies. Distances are Euclidean, of scaled features; close is what is nearer than 1 % of
    the test rows of that kind are. Kinds of which a source has no row are left out.
    """
    rows = []
    for kind, anomalous in (("genuine", False), ("anomaly", True)):
        parts = {
            name: each.x[each.anomaly == anomalous]
            for name, each in {"test": test, **made, "known": known}.items()
        }
        if not all(map(len, parts.values())):
            continue
        reference = parts.pop("known")
        distances = {name: nearest(x, reference) for name, x in parts.items()}
        limit = np.quantile(distances["test"], CLOSE)
        rows += [(kind, name, *_closeness(each, limit)) for name, each in distances.items()]
    return pd.DataFrame(
        rows,
        columns=[
            "kind",
            "source",
            "rows",
            "smallest_distance",
            "median_distance",
            "share_close",
            "exact_copies",
        ],
    )


def _closeness(distances: np.ndarray, limit: float) -> tuple[int, float, float, float, int]:
    """Return the number of distances, the least, the median, the share below, and the zeros."""
    least, middle = float(distances.min()), float(np.median(distances))
    share = float((distances < limit).mean())
    return len(distances), least, middle, share, int((distances == 0).sum())
