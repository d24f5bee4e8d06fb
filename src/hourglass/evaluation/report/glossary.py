"""What metrics are called on the page, and what they mean."""

from typing import NamedTuple

BEFORE = "before tuning"  # the settings of a leaderboard's row whose cell was tuned since


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
    "kNN_accuracy": Term(
        "kNN accuracy",
        "The share of test samples whose class their seven nearest training codes vote for.",
    ),
    "search_precision_at_10": Term(
        "search precision at 10",
        "The share of the ten nearest training codes that are of the sample's class.",
    ),
    "linear_accuracy": Term(
        "linear accuracy",
        "The share of test samples that logistic regression on 10,000 codes puts in their class.",
    ),
    "interpolation_within_classes": Term(
        "halfway within classes",
        "How often what lies halfway between two codes of a class is of that class, to a "
        "classifier trained on real images.",
    ),
    "interpolation_between_classes": Term(
        "halfway between classes", "The same between codes of two classes: of either of them."
    ),
    "neighbourhood_radius": Term(
        "neighbourhood radius",
        "How far codes may move, in standard deviations of the codes, until a tenth of what they "
        "stand for is of another class.",
    ),
    "frechet_distance": Term(
        "Fréchet distance",
        "Between made-up and real test images, in the features of a classifier (of images of one "
        "class in their pixels), by the best sampler of codes. Compare within one data set.",
    ),
    "class_agreement": Term(
        "class agreement",
        "The share of images made up for a class that are of that class to a classifier of real "
        "images.",
    ),
    "PSNR_noise_0.5": Term(
        "PSNR at noise factor 0.5",
        "How near to clean images what is left of normal noise of half the range of a pixel comes, "
        "in decibels; higher is better.",
    ),
    "AUROC_of_boosting_trained_on_synthetic_rows": Term(
        "AUROC, trained on made-up rows",
        "AUROC on the test split of gradient boosting that learnt from made-up rows alone.",
    ),
    "AUROC_of_boosting_trained_on_real_rows": Term(
        "AUROC, trained on real rows",
        "The same where it learnt from the real rows that the made-up ones are like.",
    ),
    "copied_rows": Term(
        "copied rows", "Made-up rows that equal a row that they were learnt from; best are none."
    ),
}


def term(metric: str) -> Term:
    """Return what a metric is called; one that is new to the page keeps its own name."""
    return TERMS.get(metric, Term(metric.replace("_", " "), ""))
