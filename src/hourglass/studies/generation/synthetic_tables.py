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
from hourglass.data.prepared import Prepared
from hourglass.networks import Network
from hourglass.studies.generation.distances import nearest_distance
from hourglass.studies.generation.samplers import Gaussian, Mixture, subsample
from hourglass.studies.latent_space import LatentSpace, decode, encode_scaled
from hourglass.studies.results import StudyResult

LABEL = "anomaly"  # the column with the kind of a row
CLOSE_QUANTILE = 0.01  # of the distances of real test rows; closer rows may be copies
CLASSIFIERS: dict[str, Callable[[int], LogisticRegression | HistGradientBoostingClassifier]] = {
    "logistic": lambda seed: LogisticRegression(max_iter=1000, random_state=seed),
    "boosting": lambda seed: HistGradientBoostingClassifier(random_state=seed),
}


def analyse_synthetic_rows(space: LatentSpace) -> StudyResult:
    """Generate genuine and anomalous rows and compare them with real rows.

    Tables: the synthetic rows in raw units; their distances to the rows they were learnt from,
    compared with those of real test rows; and, if anomalies are labelled, the performance on real
    test rows of classifiers trained on synthetic rows, compared with training on real rows.
    """
    real, test = learnable_rows(space.prepared), held_out_rows(space.prepared)
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
    """Scaled rows of a table and their kind."""

    x: np.ndarray  # (N, F) float32
    anomaly: np.ndarray  # (N,) bool

    def to_frame(self, prepared: Prepared) -> pd.DataFrame:
        """Return the rows in raw units, with the names of the features and LABEL.

        Raises a UserError if a feature is named LABEL.
        """
        names = prepared.card["feature_names"]
        if LABEL in names:
            raise UserError(
                f"a feature is named {LABEL!r}, like the label; rename it in the table."
            )
        frame = pd.DataFrame(prepared.scaling.inverse(self.x), columns=names)
        return frame.assign(**{LABEL: self.anomaly})


def learnable_rows(prepared: Prepared) -> Rows:
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
    """A generator of rows of one kind: decode codes drawn from a mixture, and add residuals.

    Decoded rows lie on the manifold of the reconstructions. Residuals are drawn from a Gaussian
    with their mean and covariance: adding residuals of real rows would copy information from them.
    """

    network: Network
    codes: Mixture
    residuals: Gaussian
    low: np.ndarray  # (F,), the range of each feature
    high: np.ndarray  # (F,)

    @classmethod
    def fit(cls, network: Network, x: np.ndarray, seed: int = 0) -> Self:
        """Fit the generator to scaled rows, (n, F); raises a UserError for a single row."""
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
    """Generate as many rows of each kind as there are real ones, genuine rows first.

    The network was trained on genuine rows; anomalies use its codes of real anomalies. Fewer than
    two real anomalies give no synthetic ones.
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
    """Train classifiers of anomalies on each set and evaluate them on real test rows.

    One row per classifier and set: classifier, trained_on, rows, AUROC, average_precision. Raises a
    UserError if a set or the test has rows of one kind only.
    """
    for name, data in {**training_sets, "test": test}.items():
        if len(np.unique(data.anomaly)) < 2:
            raise UserError(
                f"the rows of {name} are all of one kind, but a classifier needs genuine ones and "
                "anomalies; label some anomalies in the raw table."
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
    """Return distances of synthetic and of test rows to the nearest real row of the same kind.

    One row per kind and source: kind, source, rows, smallest_distance, median_distance,
    share_close, exact_copies. Distances are Euclidean, of scaled features. `share_close` counts
    rows closer than the 1 % quantile of the test rows. Kinds without rows in a source are left out.
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
        distances = {name: nearest_distance(part, reference) for name, part in x.items()}
        limit = np.quantile(distances["test"], CLOSE_QUANTILE)
        rows += [
            {
                "kind": kind,
                "source": name,
                "rows": len(values),
                "smallest_distance": float(values.min()),
                "median_distance": float(np.median(values)),
                "share_close": float((values < limit).mean()),
                "exact_copies": int((values == 0).sum()),
            }
            for name, values in distances.items()
        ]
    return pd.DataFrame(rows)
