"""What metrics are called on the page, and what they mean."""

from typing import NamedTuple


class Term(NamedTuple):
    """Name a metric for people."""

    title: str
    meaning: str


TERMS = {
    "AUROC": Term(
        "AUROC", "How often an anomaly scores above a normal sample. Chance is 0.5, perfection 1."
    ),
    "AUROC_over_PCA": Term(
        "AUROC over PCA",
        "AUROC less that of PCA with the same code size, or of the best PCA where the code is "
        "wider than PCA's can be. A variant earns its training above zero.",
    ),
    "average_precision": Term(
        "average precision",
        "Precision averaged over recall. Chance is the prevalence, so compare within one data set.",
    ),
    "prevalence": Term("prevalence", "The share of anomalies in the test split."),
    "FPR_at_95_recall": Term(
        "FPR at 95 % recall",
        "The share of normal samples above the threshold that finds 95 % of the anomalies.",
    ),
    "precision_at_100": Term(
        "precision at 100", "The share of anomalies among the 100 highest scores."
    ),
    "precision_at_anomalies": Term(
        "precision at anomalies",
        "The share of anomalies among as many highest scores as there are anomalies.",
    ),
    "precision": Term("precision", "The share of alarms that are anomalies."),
    "recall": Term("recall", "The share of anomalies that raise an alarm."),
    "F1": Term("F1", "The harmonic mean of precision and recall."),
    "false_alarm_rate": Term(
        "false-alarm rate", "The share of normal samples that raise an alarm."
    ),
    "reconstruction_error_normal": Term(
        "reconstruction error, normal", "Mean squared error per element, of normal samples."
    ),
    "reconstruction_error_anomalous": Term(
        "reconstruction error, anomalous", "The same, of anomalous samples."
    ),
}


def term(metric: str) -> Term:
    """Return what a metric is called; one that is new to the page keeps its own name."""
    return TERMS.get(metric, Term(metric.replace("_", " "), ""))
