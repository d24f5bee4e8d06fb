"""Titles and meanings of metrics, and number formats, for the HTML report."""

from typing import NamedTuple, TypeAlias

Number: TypeAlias = float | str | None  # "" or None for a missing value

BEFORE_TUNING = "before tuning"  # column `settings` of a tuned cell's results before tuning
MISSING = "\N{EN DASH}"  # text of a missing value


class Term(NamedTuple):
    """The title and the meaning of a metric."""

    title: str
    meaning: str


TERMS = {
    "AUROC": Term(
        "AUROC",
        "The probability that an anomaly scores higher than a normal sample. Chance is 0.5, "
        "perfect detection 1.",
    ),
    "AUROC_over_PCA": Term(
        "AUROC over PCA",
        "AUROC minus that of PCA with the same latent dimension, or of the best PCA if the latent "
        "code is wider than PCA allows. Above zero, a variant is better than PCA.",
    ),
    "average_precision": Term(
        "average precision",
        "Precision averaged over recall. Chance is the prevalence, so compare within one data set.",
    ),
    "prevalence": Term("prevalence", "The fraction of anomalies in the test split."),
    "FPR_at_95_recall": Term(
        "FPR at 95 % recall",
        "The fraction of normal samples above the threshold that detects 95 % of the anomalies.",
    ),
    "precision_at_100": Term(
        "precision at 100", "The fraction of anomalies among the 100 highest scores."
    ),
    "precision_at_anomalies": Term(
        "precision at anomalies",
        "The fraction of anomalies among the n highest scores, with n the number of anomalies.",
    ),
    "precision": Term("precision", "The fraction of alarms that are anomalies."),
    "recall": Term("recall", "The fraction of anomalies that raise an alarm."),
    "F1": Term("F1", "The harmonic mean of precision and recall."),
    "false_alarm_rate": Term(
        "false-alarm rate", "The fraction of normal samples that raise an alarm."
    ),
    "reconstruction_error_normal": Term(
        "reconstruction error, normal", "The mean squared error per element of normal samples."
    ),
    "reconstruction_error_anomalous": Term(
        "reconstruction error, anomalous",
        "The mean squared error per element of anomalous samples.",
    ),
    "kNN_accuracy": Term(
        "kNN accuracy",
        "The accuracy of a 7-nearest-neighbour classifier of latent codes, on test samples.",
    ),
    "search_precision_at_10": Term(
        "search precision at 10",
        "The fraction of a test sample's ten nearest training codes that have its class.",
    ),
    "linear_accuracy": Term(
        "linear accuracy",
        "The accuracy of logistic regression on test samples, trained on 10,000 latent codes.",
    ),
    "interpolation_within_classes": Term(
        "interpolation within classes",
        "The fraction of decoded midpoints between two codes of one class that a classifier of "
        "real images assigns to that class.",
    ),
    "interpolation_between_classes": Term(
        "interpolation between classes",
        "The fraction of decoded midpoints between codes of two classes that a classifier of real "
        "images assigns to one of the two.",
    ),
    "neighbourhood_radius": Term(
        "neighbourhood radius",
        "The distance from a code, in standard deviations of the codes, at which a tenth of the "
        "decoded samples have changed their class.",
    ),
    "frechet_distance": Term(
        "Fréchet distance",
        "The distance between generated and real test images in the features of a classifier (in "
        "pixels if there is one class only), for the best sampler of codes. Compare within one "
        "data set.",
    ),
    "class_agreement": Term(
        "class agreement",
        "The fraction of images generated for a class that a classifier of real images assigns to "
        "that class.",
    ),
    "PSNR_noise_0.5": Term(
        "PSNR at noise factor 0.5",
        "The peak signal-to-noise ratio of denoised test images, in dB, for Gaussian noise with "
        "half of the pixel range as standard deviation. Higher is better.",
    ),
    "AUROC_of_boosting_trained_on_synthetic_rows": Term(
        "AUROC, trained on synthetic rows",
        "The AUROC on the test split of gradient boosting trained on synthetic rows alone.",
    ),
    "AUROC_of_boosting_trained_on_real_rows": Term(
        "AUROC, trained on real rows",
        "The AUROC on the test split of gradient boosting trained on the rows that the generator "
        "was trained on.",
    ),
    "copied_rows": Term(
        "copied rows",
        "The number of synthetic rows that equal a training row of the generator. Zero is best.",
    ),
}


def term(metric: str) -> Term:
    """Return the title and meaning of a metric; an unknown metric is titled by its name."""
    return TERMS.get(metric, Term(metric.replace("_", " "), ""))


def share(value: Number) -> str:
    """Format a fraction or an area with four decimals."""
    return _format(value, ".4f")


def bound(value: Number) -> str:
    """Format a bound of an interval with three decimals, since it is an estimate."""
    return _format(value, ".3f")


def score(value: Number) -> str:
    """Format a score or a threshold with four significant digits."""
    return _format(value, ".4g")


def signed(value: Number) -> str:
    """Format a difference with its sign and four decimals."""
    return _format(value, "+.4f")


def whole(value: Number) -> str:
    """Format a count with thousands separators."""
    return _format(value, ",.0f")


FORMATS = (share, bound, score, signed, whole)  # filters of the HTML templates, by name


def _format(value: Number, spec: str) -> str:
    """Format a number with a typographic minus sign; a missing value is a dash."""
    if value is None or value == "":
        return MISSING
    text = format(float(value), spec)
    return text.replace("-", "\N{MINUS SIGN}") if "e" not in text else text
