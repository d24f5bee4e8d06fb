"""Titles and meanings of metrics, and number formats, for the HTML report."""

from functools import partial
from typing import TypeAlias

Number: TypeAlias = float | str | None  # "" or None for a missing value

BEFORE_TUNING = "before tuning"  # column `settings` of a tuned cell's results before tuning
MISSING = "\N{EN DASH}"  # text of a missing value

INTERVALS = ("AUROC", "average_precision", "FPR_at_95_recall")  # metrics shown with an interval
PROBES = {1: "1 unit", 2: "2 units", 5: "5 units"}  # of sparse probing
# Titles that are more than the name of the metric with spaces for underscores.
TITLES = {
    "FPR_at_95_recall": "FPR at 95 % recall",
    "false_alarm_rate": "false-alarm rate",
    "block_alarm_rate": "share of normal blocks with an alarm",
    "expected_alarms_per_day": "alarms per day, expected",
    "alarms_per_day_tuning": "alarms per day, tuning split",
    "event_precision": "event-wise precision",
    "event_recall": "event-wise recall",
    "event_F1": "event-wise F1",
    "range_precision": "range-based precision",
    "range_recall": "range-based recall",
    "range_F1": "range-based F1",
    "false_alarm_events": "false-alarm events",
    "detection_delay": "detection delay (rows)",
    "detection_delay_seconds": "detection delay (s)",
    "pixel_AUROC": "pixel AUROC",
    "pixel_AP": "pixel AP",
    "pixel_false_alarm_rate": "pixel false-alarm rate",
    "defect_false_alarm_rate": "normal images with a defect",
    "VUS_ROC": "VUS-ROC",
    "VUS_PR": "VUS-PR",
    "reconstruction_error_normal": "reconstruction error, normal",
    "reconstruction_error_anomalous": "reconstruction error, anomalous",
    "frechet_distance": "Fréchet distance",
    "PSNR_noise_0.5": "PSNR at noise factor 0.5",
    "AUROC_of_boosting_trained_on_synthetic_rows": "AUROC, trained on synthetic rows",
    "AUROC_of_boosting_trained_on_real_rows": "AUROC, trained on real rows",
    "FVU_mean_of_samples": "FVU, mean of samples",
    **{f"sparse_probing_accuracy_{k}": f"accuracy of {units}" for k, units in PROBES.items()},
    **{f"sparse_probing_F1_{k}": f"F1 of {units}" for k, units in PROBES.items()},
}
MEANINGS = {
    "AUROC": "The probability that an anomaly scores higher than a normal sample. Chance is 0.5, "
    "perfect detection 1.",
    "AUROC_over_PCA": "AUROC minus that of PCA with the same latent dimension, or of the best PCA "
    "if the latent code is wider than PCA allows. Above zero, a variant is better than PCA.",
    "average_precision": "Precision averaged over recall. Chance is the prevalence, so compare "
    "within one data set.",
    "anomalies": "The number of anomalies in the test split.",
    "prevalence": "The fraction of anomalies in the test split.",
    "FPR_at_95_recall": "The fraction of normal samples above the threshold that detects 95 % of "
    "the anomalies.",
    "precision_at_100": "The fraction of anomalies among the 100 highest scores.",
    "precision_at_anomalies": "The fraction of anomalies among the n highest scores, with n the "
    "number of anomalies.",
    "precision": "The fraction of alarms that are anomalies.",
    "recall": "The fraction of anomalies that raise an alarm.",
    "F1": "The harmonic mean of precision and recall.",
    "false_alarm_rate": "The fraction of normal samples that raise an alarm.",
    "VUS_ROC": "The mean area under the ROC curve of the rows of a series, over tolerances for the "
    "ends of an event from none to one period of the series.",
    "VUS_PR": "The mean area under the precision-recall curve of the rows of a series, over "
    "tolerances for the ends of an event from none to one period of the series. Chance is about "
    "the prevalence.",
    "pixel_AUROC": "The probability that a defective pixel has a higher value in its map than a "
    "normal pixel.",
    "pixel_AP": "Precision of pixels averaged over recall. Chance is the share of defects.",
    "AUPRO": "The mean fraction of a defect that is found, over thresholds at which at most 30 % "
    "of the normal pixels raise an alarm. Small and large defects count the same.",
    "AUPIMO": "The mean fraction of the defective pixels of an image that is found, over "
    "thresholds at which between 1 and 10 in 100,000 pixels of normal images raise an alarm, on a "
    "logarithmic scale. Needs 100,000 pixels of normal images.",
    "pixel_false_alarm_rate": "The fraction of the pixels of normal images in a defect, at the "
    "pixel threshold.",
    "defect_false_alarm_rate": "The fraction of normal images in which a defect is found, at the "
    "pixel threshold.",
    "pixel_recall": "The fraction of defective pixels above the pixel threshold.",
    "defect_recall": "The fraction of defects with a pixel above the pixel threshold.",
    "events": "The number of labelled events in the test split: stretches of anomalous rows.",
    "false_alarm_events": "The number of stretches of consecutive alarms that overlap no event.",
    "event_precision": "Detected events, divided by detected events and false-alarm events.",
    "event_recall": "The fraction of labelled events in which at least one row raises an alarm.",
    "event_F1": "The harmonic mean of event-wise precision and recall.",
    "range_precision": "The mean fraction of a stretch of alarms that is labelled, divided by the "
    "number of events that it overlaps.",
    "range_recall": "The mean fraction of an event that has alarms, divided by the number of "
    "stretches of alarms that overlap it.",
    "range_F1": "The harmonic mean of range-based precision and recall.",
    "detection_delay": "The median number of rows from the start of a detected event to its first "
    "alarm.",
    "detection_delay_seconds": "The detection delay in the unit of time: seconds, if times are "
    "dates.",
    "alarms_per_day": "False alarms per day of normal rows of the test split. Alarms less than a "
    "window apart count once. Times that are numbers count as seconds.",
    "expected_alarms_per_day": "The number of blocks of one window with an alarm per day of normal "
    "rows that the calibrator expects, if blocks are exchangeable; at most as many alarms.",
    "alarms_per_day_tuning": "False alarms per day of normal rows of the tuning split.",
    "block_alarm_rate": "The fraction of blocks of one window with an alarm, among those that "
    "share no window with an anomaly.",
    "reconstruction_error_normal": "The mean squared error per element of normal samples.",
    "reconstruction_error_anomalous": "The mean squared error per element of anomalous samples.",
    "kNN_accuracy": "The accuracy of a 7-nearest-neighbour classifier of latent codes, on test "
    "samples.",
    "search_precision_at_10": "The fraction of a test sample's ten nearest training codes that "
    "have its class.",
    "linear_accuracy": "The accuracy of logistic regression on test samples, trained on 10,000 "
    "latent codes.",
    "interpolation_within_classes": "The fraction of decoded midpoints between two codes of one "
    "class that a classifier of real images assigns to that class.",
    "interpolation_between_classes": "The fraction of decoded midpoints between codes of two "
    "classes that a classifier of real images assigns to one of the two.",
    "neighbourhood_radius": "The distance from a code, in standard deviations of the codes, at "
    "which a tenth of the decoded samples have changed their class.",
    "frechet_distance": "The distance between generated and real test images in the features of a "
    "classifier (in pixels if there is one class only), for the best sampler of codes. Compare "
    "within one data set.",
    "class_agreement": "The fraction of images generated for a class that a classifier of real "
    "images assigns to that class.",
    "PSNR_noise_0.5": "The peak signal-to-noise ratio of denoised test images, in dB, for Gaussian "
    "noise with half of the pixel range as standard deviation. Higher is better.",
    "AUROC_of_boosting_trained_on_synthetic_rows": "The AUROC on the test split of gradient "
    "boosting trained on synthetic rows alone.",
    "AUROC_of_boosting_trained_on_real_rows": "The AUROC on the test split of gradient boosting "
    "trained on the rows that the generator was trained on.",
    "ties": "Variants whose AUROC does not differ significantly from that of the best variant on "
    "the same test samples (DeLong's test, 5 % level).",
    "copied_rows": "The number of synthetic rows that equal a training row of the generator. Zero "
    "is best.",
}
MEANINGS |= {
    "L0": "The mean number of units of a sparse code that differ from 0.",
    "FVU": "The fraction of variance unexplained: the squared reconstruction error, summed over "
    "test samples, divided by their squared distance from the mean, summed as well. Lower is "
    "better; compare at equal L0.",
    "FVU_mean_of_samples": "The other definition of FVU: the mean over samples of the ratio of the "
    "two. Samples near the mean weigh most.",
    "cosine_similarity": "The mean cosine of the angle between a test sample and its "
    "reconstruction.",
    "dead_units": "The share of units that are active on no test sample.",
    "dense_units": "The share of units that are active on more than 10 % of the test samples.",
    **{
        f"sparse_probing_accuracy_{k}": "The balanced accuracy of logistic regression that tells a "
        f"class from the others by {units} of the code, those with the largest difference of "
        "means; averaged over classes. Chance is 0.5."
        for k, units in PROBES.items()
    },
    **{
        f"sparse_probing_F1_{k}": f"The F1 of the same classifiers with {units}, as if half of the "
        "samples were of the class."
        for k, units in PROBES.items()
    },
    "absorption_fraction": "The part of a class's direction in the input that other units write "
    "instead of the units that usually represent the class, averaged over samples and classes.",
    "full_absorption": "The fraction of samples of a class on which all units that usually "
    "represent it are inactive and one other unit writes its direction.",
}
FORMATS = {
    "share": ".4f",  # a fraction or an area
    "bound": ".3f",  # a bound of an interval: fewer decimals, since it is an estimate
    "score": ".4g",  # a score or a threshold
    "signed": "+.4f",  # a difference
    "whole": ",.0f",  # a count
    "seconds": ",.1f",
    "brief": ".3f",  # a share in a small table
}

# Formats of metrics that are no shares.
METRIC_FORMATS = {
    **dict.fromkeys(("anomalies", "events", "false_alarm_events"), "whole"),
    **dict.fromkeys(("reconstruction_error_normal", "reconstruction_error_anomalous"), "score"),
    **dict.fromkeys(("detection_delay", "detection_delay_seconds"), "whole"),
    **dict.fromkeys(
        ("alarms_per_day", "expected_alarms_per_day", "alarms_per_day_tuning"), "score"
    ),
}


def metric_form(metric: str) -> str:
    """Return the format of a metric, a key of FORMATS."""
    return METRIC_FORMATS.get(metric, "share")


def metric_title(metric: str) -> str:
    """Return the title of a metric."""
    return TITLES.get(metric, metric.replace("_", " "))


def format_number(value: Number, form: str) -> str:
    """Format a number as in FORMATS, with a typographic minus sign; a missing value is a dash."""
    if value is None or value == "":
        return MISSING
    text = format(float(value), FORMATS[form])
    return text.replace("-", "\N{MINUS SIGN}") if "e" not in text else text


share_text = partial(format_number, form="share")
score_text = partial(format_number, form="score")
