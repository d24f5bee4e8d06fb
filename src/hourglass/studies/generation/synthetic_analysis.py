"""Made-up rows of a table: whether they serve in the place of real ones, and copy none."""

from hourglass.studies.generation.synthetic_checks import copies, train_on_synthetic
from hourglass.studies.generation.synthetic_tables import known_rows, synthetic, unseen_rows
from hourglass.studies.latent_codes.latent_space import LatentSpace
from hourglass.studies.results import StudyResult


def synthetic_rows(space: LatentSpace) -> StudyResult:
    """Make rows of either kind from mixtures of codes and check them against real ones.

    The tables: the rows themselves in the units of the raw table; how near each is to the nearest
    row that it was learnt from, beside real test rows; and, where anomalies are labelled, what
    classifiers that were trained on them find in the real test split, beside the same trained on
    real rows.
    """
    known, test = known_rows(space.prepared), unseen_rows(space.prepared)
    made = synthetic(space.network, known, space.seed)
    near = copies({"synthetic": made}, known, test)
    tables = {"synthetic": made.frame(space.prepared), "copies": near}
    metrics = {"copied_rows": float(near[near.source == "synthetic"].exact_copies.sum())}
    if all(rows.anomaly.any() and not rows.anomaly.all() for rows in (made, test)):
        served = train_on_synthetic({"real": known, "synthetic": made}, test, space.seed)
        tables["train_on_synthetic"] = served
        names = "AUROC_of_" + served.classifier + "_trained_on_" + served.trained_on + "_rows"
        metrics |= dict(zip(names, map(float, served.AUROC), strict=True))
    return StudyResult(metrics, tables)
