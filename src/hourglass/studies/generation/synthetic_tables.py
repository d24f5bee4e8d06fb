"""Analysis `generation` for tables: synthetic rows, their utility, and checks for copied rows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

from hourglass.core.errors import UserError
from hourglass.data.prepared_data import Prepared
from hourglass.networks import Network
from hourglass.studies.generation.distances import nearest_distance
from hourglass.studies.generation.samplers import Gaussian, Mixture, subsample
from hourglass.studies.latent_space import LatentSpace, decode, encode_scaled
from hourglass.studies.results import StudyResult

LABEL = "anomaly"  # the column that marks anomalies
CLOSE_QUANTILE = 0.01  # of the distances of real test rows; closer synthetic rows may be copies
CLASSIFIERS: dict[str, Callable[[int], LogisticRegression | HistGradientBoostingClassifier]] = {
    "logistic": lambda seed: LogisticRegression(max_iter=1000, random_state=seed),
    "boosting": lambda seed: HistGradientBoostingClassifier(random_state=seed),
}


def analyse_synthetic_rows(space: LatentSpace) -> StudyResult:
    """Generate genuine and anomalous rows and compare them with real rows.

    The result has up to three tables. `synthetic` holds the synthetic rows in raw units. `copies`
    compares their distances to the training rows with those of real test rows. If anomalies are
    labelled, `train_on_synthetic` evaluates classifiers trained on synthetic and on real rows; both
    are tested on real rows.
    """
    real, test = training_rows(space.prepared), held_out_rows(space.prepared)
    synthetic = generate_rows(space.network, real, space.seed)
    copies = copy_statistics({"synthetic": synthetic}, real, test)
    tables = {"synthetic": synthetic.to_frame(space.prepared), "copies": copies}
    metrics = {"copied_rows": float(copies[copies.source == "synthetic"].exact_copies.sum())}
    if all(rows.anomaly.any() and not rows.anomaly.all() for rows in (synthetic, test)):
        training_sets = {"real": real, "synthetic": synthetic}
        utility = train_on_synthetic(training_sets, test, space.seed)
        tables["train_on_synthetic"] = utility
        names = "AUROC_of_" + utility.classifier + "_trained_on_" + utility.trained_on + "_rows"
        metrics |= dict(zip(names, map(float, utility.AUROC), strict=True))
    return StudyResult(metrics, tables)


@dataclass(frozen=True)
class Rows:
    """Scaled rows of a table, genuine and anomalous."""

    x: np.ndarray  # (N, F) float32
    anomaly: np.ndarray  # (N,) bool

    def to_frame(self, prepared: Prepared) -> pd.DataFrame:
        """Return the rows in raw units, with feature names and the column LABEL.

        Raises a UserError if a feature is named LABEL.
        """
        names = prepared.card["feature_names"]
        if LABEL in names:
            raise UserError(
                f"a feature is named {LABEL!r}, like the label; rename it in the table."
            )
        frame = pd.DataFrame(prepared.scaling.inverse(self.x), columns=names)
        return frame.assign(**{LABEL: self.anomaly})


def training_rows(prepared: Prepared) -> Rows:
    """Return the training split and the anomalies of the tuning split.

    Raises a UserError for images.
    """
    if not prepared.card["feature_names"]:
        raise UserError(f"{prepared.card['data']} holds images; name a data set that is a table.")
    train, tuning = prepared.split("train"), prepared.split("tuning")
    x = np.concatenate([train.x, tuning.x[tuning.anomaly]])
    return Rows(prepared.scaling(x), np.arange(len(x)) >= len(train.x))


def held_out_rows(prepared: Prepared) -> Rows:
    """Return the rows of the test split."""
    test = prepared.split("test")
    return Rows(prepared.scaling(np.asarray(test.x)), test.anomaly)


@dataclass(frozen=True)
class RowGenerator:
    """A generator of genuine or of anomalous rows: decode sampled codes and add residuals.

    Codes are drawn from a mixture. Decoded rows lie on the manifold of the reconstructions, so
    residuals are added. These are drawn from a Gaussian fitted to the residuals of real rows, as
    adding the residuals themselves would copy information from real rows.
    """

    network: Network
    codes: Mixture
    residuals: Gaussian
    low: np.ndarray  # (F,), the smallest real value of each feature
    high: np.ndarray  # (F,), the largest one

    @classmethod
    def fit(cls, network: Network, x: np.ndarray, seed: int = 0) -> Self:
        """Fit the generator to scaled rows, (n, F); raise a UserError for a single row."""
        codes = encode_scaled(network, x)
        residuals = x - decode(network, codes)
        mixture = Mixture.fit(subsample(codes), seed)
        return cls(network, mixture, Gaussian.fit(residuals), x.min(0), x.max(0))

    def __call__(self, count: int, seed: int = 0, residuals: bool = True) -> np.ndarray:
        """Return scaled rows, (count, F) float32, with or without `residuals`."""
        x = decode(self.network, self.codes.sample(count, seed))
        if residuals:
            x = x + self.residuals.sample(count, seed + 1)
        return np.clip(x, self.low, self.high)


def generate_rows(network: Network, real: Rows, seed: int = 0, residuals: bool = True) -> Rows:
    """Generate as many genuine and anomalous rows as there are real ones, genuine rows first.

    The network was trained on genuine rows. Anomalies are generated from its codes of real
    anomalies, unless there are fewer than two.
    """
    parts, kinds = [], []
    for anomalous in (False, True):
        x = real.x[real.anomaly == anomalous]
        if anomalous and len(x) < 2:
            continue
        parts.append(RowGenerator.fit(network, x, seed)(len(x), seed + anomalous, residuals))
        kinds.append(np.full(len(x), anomalous))
    return Rows(np.concatenate(parts), np.concatenate(kinds))


def train_on_synthetic(training_sets: dict[str, Rows], test: Rows, seed: int = 0) -> pd.DataFrame:
    """Train supervised anomaly classifiers on each set and evaluate them on real test rows.

    The table has one row per classifier and set, with the columns classifier, trained_on, rows,
    AUROC and average_precision. Raises a UserError if a set or `test` lacks genuine or anomalous
    rows.
    """
    for name, data in {**training_sets, "test": test}.items():
        if len(np.unique(data.anomaly)) < 2:
            raise UserError(
                f"the {name} rows are all genuine or all anomalous, but a classifier needs both; "
                "label some anomalies in the raw table."
            )
    rows = []
    for classifier, make in CLASSIFIERS.items():
        for name, data in training_sets.items():
            score = make(seed).fit(data.x, data.anomaly).predict_proba(test.x)[:, 1]
            auroc = float(roc_auc_score(test.anomaly, score))
            precision = float(average_precision_score(test.anomaly, score))
            rows.append((classifier, name, len(data.x), auroc, precision))
    return pd.DataFrame(
        rows, columns=["classifier", "trained_on", "rows", "AUROC", "average_precision"]
    )


def copy_statistics(synthetic: dict[str, Rows], real: Rows, test: Rows) -> pd.DataFrame:
    """Return statistics of the distance to the nearest real row, for synthetic and test rows.

    The table has one row per kind (genuine, anomaly) and source. Its columns are kind, source,
    rows, smallest_distance, median_distance, share_close and exact_copies. Distances are Euclidean
    between scaled rows of the same kind. `share_close` is the share of rows closer than the 1 %
    quantile of the test rows. A kind is left out if a source has no row of it.
    """
    rows = []
    for kind, anomalous in (("genuine", False), ("anomaly", True)):
        x = {
            name: data.x[data.anomaly == anomalous]
            for name, data in {"test": test, **synthetic, "real": real}.items()
        }
        if not all(map(len, x.values())):
            continue
        reference = x.pop("real")
        distances = {name: nearest_distance(values, reference) for name, values in x.items()}
        close = np.quantile(distances["test"], CLOSE_QUANTILE)
        rows += [
            {
                "kind": kind,
                "source": name,
                "rows": len(values),
                "smallest_distance": float(values.min()),
                "median_distance": float(np.median(values)),
                "share_close": float((values < close).mean()),
                "exact_copies": int((values == 0).sum()),
            }
            for name, values in distances.items()
        ]
    return pd.DataFrame(rows)
