"""Analysis `generation` for tables: synthetic rows, their utility, and checks for copied rows."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

from hourglass.core.errors import UserError
from hourglass.data.columns.cell_values import cell_frame
from hourglass.data.prepared_data import Prepared
from hourglass.data.scaling import filled_inputs
from hourglass.data.table_encoding import TableEncoding
from hourglass.networks import Network
from hourglass.studies.generation.distances import nearest_distance
from hourglass.studies.generation.samplers import Gaussian, Mixture, subsample
from hourglass.studies.latent_space import LatentSpace, decode, encode_scaled
from hourglass.studies.results import StudyResult

LABEL = "anomaly"  # the column that marks anomalies
CLOSE_QUANTILE = 0.01  # of the distances of real test rows; closer synthetic rows may be copies


@dataclass(frozen=True)
class Rows:
    """Network inputs of a table's rows, genuine and anomalous; 0 in missing cells."""

    x: np.ndarray  # (N, F) float32
    anomaly: np.ndarray  # (N,) bool

    def of_kind(self, anomalous: bool) -> np.ndarray:
        """Return the anomalous or the genuine rows, (n, F)."""
        return self.x[self.anomaly == anomalous]


def analyse_synthetic_rows(space: LatentSpace) -> StudyResult:
    """Generate genuine and anomalous rows and compare them with real rows.

    The result has up to three tables. `synthetic` holds the synthetic rows in raw units. `copies`
    compares their distances to the training rows with those of real test rows. If anomalies are
    labelled, `train_on_synthetic` evaluates classifiers trained on synthetic and on real rows; both
    are tested on real rows.
    """
    real, test = real_rows(space.prepared)
    synthetic = generate_rows(space.network, real, space.seed)
    copies = copy_statistics(synthetic, real, test)
    tables = {"synthetic": raw_table(synthetic, space.prepared), "copies": copies}
    metrics = {"copied_rows": float(copies[copies.source == "synthetic"].exact_copies.sum())}
    if all(rows.anomaly.any() and not rows.anomaly.all() for rows in (synthetic, test)):
        training_sets = {"real": real, "synthetic": synthetic}
        utility = train_on_synthetic(training_sets, test, space.seed)
        tables["train_on_synthetic"] = utility
        names = "AUROC_of_" + utility.classifier + "_trained_on_" + utility.trained_on + "_rows"
        metrics |= dict(zip(names, map(float, utility.AUROC), strict=True))
    return StudyResult(metrics, tables)


def real_rows(prepared: Prepared) -> tuple[Rows, Rows]:
    """Return rows for training and for testing.

    The former are the training split and the anomalies of the tuning split, the latter the test
    split.
    """
    train, tuning, test = (prepared.split(name) for name in ("train", "tuning", "test"))
    x = np.concatenate([train.x, tuning.x[tuning.anomaly]])
    training = Rows(filled_inputs(prepared.scaling, x), np.arange(len(x)) >= len(train.x))
    return training, Rows(filled_inputs(prepared.scaling, np.asarray(test.x)), test.anomaly)


def raw_table(rows: Rows, prepared: Prepared) -> pd.DataFrame:
    """Return rows as values of cells, with feature names and the column LABEL.

    A cell is empty if its indicator of a missing cell is above one half. A date without a trend is
    empty, too. Raises a UserError if a feature is named LABEL.
    """
    columns, encoding = prepared.columns, prepared.scaling
    assert isinstance(encoding, TableEncoding)
    if LABEL in [column.name for column in columns]:
        raise UserError(f"a feature is named {LABEL!r}, like the label; rename it in the table.")
    codes = encoding.inverse(rows.x)
    indicated = [i for i, column in enumerate(encoding.columns) if column.has_indicator]
    for i, indicator in zip(indicated, rows.x.T[encoding.width - len(indicated) :], strict=True):
        codes[indicator > 0.5, i] = np.nan
    return cell_frame(codes, columns).assign(**{LABEL: rows.anomaly})


def generate_rows(network: Network, real: Rows, seed: int) -> Rows:
    """Generate as many genuine and anomalous rows as there are real ones, genuine rows first.

    The network was trained on genuine rows. Anomalies are generated from its codes of real
    anomalies, unless there are fewer than two.
    """
    kinds = [False, True] if real.anomaly.sum() > 1 else [False]
    parts = [generate_like(network, real.of_kind(kind), seed, seed + kind) for kind in kinds]
    return Rows(np.concatenate(parts), np.repeat(kinds, [len(x) for x in parts]))


def generate_like(network: Network, x: np.ndarray, seed: int, draws: int) -> np.ndarray:
    """Generate as many rows as `x` (n, F) has, within the range of each feature.

    Codes are drawn from a mixture and decoded. Decoded rows lie on the manifold of the
    reconstructions, so residuals are added. These are drawn from a Gaussian fitted to the residuals
    of real rows, as adding the residuals themselves would copy information from real rows.
    """
    codes = encode_scaled(network, x)
    residuals = Gaussian.fit(x - decode(network, codes))
    sampled = Mixture.fit(subsample(codes), seed)(len(x), draws)
    generated = decode(network, sampled) + residuals(len(x), draws + 1)
    return np.clip(generated, x.min(0), x.max(0))


def train_on_synthetic(training_sets: Mapping[str, Rows], test: Rows, seed: int) -> pd.DataFrame:
    """Train supervised anomaly classifiers on each set and evaluate them on real test rows.

    The table has one row per classifier and set, with the columns classifier, trained_on, rows,
    AUROC and average_precision. Each set and `test` need genuine and anomalous rows.
    """
    classifiers = {
        "logistic": LogisticRegression(max_iter=1000, random_state=seed),
        "boosting": HistGradientBoostingClassifier(random_state=seed),
    }
    columns, rows = ["classifier", "trained_on", "rows", "AUROC", "average_precision"], []
    for name, classifier in classifiers.items():
        for source, data in training_sets.items():
            score = classifier.fit(data.x, data.anomaly).predict_proba(test.x)[:, 1]
            auroc = float(roc_auc_score(test.anomaly, score))
            precision = float(average_precision_score(test.anomaly, score))
            rows.append((name, source, len(data.x), auroc, precision))
    return pd.DataFrame(rows, columns=columns)


def copy_statistics(synthetic: Rows, real: Rows, test: Rows) -> pd.DataFrame:
    """Return statistics of the distance to the nearest real row, for test and synthetic rows.

    The table has one row per kind (genuine, anomaly) and source. Its columns are kind, source,
    rows, smallest_distance, median_distance, share_close and exact_copies. Distances are Euclidean
    between scaled rows of the same kind. `share_close` is the share of rows closer than the 1 %
    quantile of the test rows. A kind is left out if a source or `real` has no row of it.
    """
    rows = []
    for kind, anomalous in (("genuine", False), ("anomaly", True)):
        reference = real.of_kind(anomalous)
        sources = {"test": test.of_kind(anomalous), "synthetic": synthetic.of_kind(anomalous)}
        if not all(map(len, (reference, *sources.values()))):
            continue
        distances = {name: nearest_distance(x, reference) for name, x in sources.items()}
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
