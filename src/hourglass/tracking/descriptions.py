"""Descriptions of experiments, runs and models in MLflow: content, quality and commands."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from hourglass.core.paths import Cell
from hourglass.core.suggestions import counted
from hourglass.tracking.entries import section

if TYPE_CHECKING:
    from hourglass.tracking.stage_records import CellRecord

NOTE = "mlflow.note.content"  # the tag with the description of an experiment or run, in Markdown


def experiment_note(links: Mapping[str, str]) -> str:
    """Return the description of the experiment; `links` are URLs of saved views by name."""
    views = ", ".join(f"[{name}]({url})" for name, url in links.items())
    return (
        "Autoencoders for anomaly detection, made by Hourglass. A run is one training of a cell: a "
        "data set with a variant of autoencoder, with its threshold and its metrics on the test "
        f"split.\n\nSaved views: {views}.\n\n{_block('hourglass repro', 'hourglass ui')}"
    )


def cell_note(record: "CellRecord") -> str:
    """Return the description of an evaluated cell, or "" for a cell without evaluation."""
    stages = {stage.stage: stage for stage in record.stages}
    if "evaluate" not in stages:
        return ""
    cell, test = record.cell, record.prepared.card["splits"]["test"]
    params = {key: value for stage in record.stages for key, value in stage.params.items()}
    commands = (
        f"dvc repro evaluate@{cell.name}",
        f"hourglass score {cell.data} {cell.model} FILE",
        f"hourglass promote {cell.data} {cell.model}",
    )
    return (
        f"**{cell.model}** on **{cell.data}**: {quality(stages['evaluate'].metrics)}.\n\n"
        f"Measured on {counted(test['normal'], 'normal sample')} and "
        f"{counted(test['anomalies'], 'anomaly', 'anomalies')} of the test split; latent code of "
        f"{params['latent_dim']}; threshold by {params['threshold_method']}. Reproduce, use and "
        f"register it:\n\n{_block(*commands)}"
    )


def quality(metrics: Mapping[str, float]) -> str:
    """Return the metrics of a detector on the test split as a phrase."""
    if "test/AUROC" not in metrics:
        rate = metrics.get("test/false_alarm_rate")
        known = "" if rate is None else f"false-alarm rate {rate:.3g}, "
        return f"{known}no labelled anomalies in the test split"
    low, high = (metrics.get(f"interval/AUROC_{end}") for end in ("low", "high"))
    interval = ""
    if low is not None and high is not None:
        interval = f" (95 % interval {low:.3f} to {high:.3f})"
    elif "test/anomalies" in metrics:  # absent from records of earlier versions
        from hourglass.evaluation.metrics.auroc_interval import why_no_interval

        reason = why_no_interval(metrics["test/anomalies"], metrics["test/prevalence"])
        interval = f" ({reason} for an interval)" if reason else ""
    names = {"average_precision": "average precision", "FPR_at_95_recall": "FPR at 95 % recall"}
    others = [f"{text} {metrics[f'test/{key}']:.3f}" for key, text in names.items()
              if f"test/{key}" in metrics]  # fmt: skip
    return ", ".join([f"AUROC {metrics['test/AUROC']:.3f}{interval}", *others])


def report_note(data: Iterable[str], models: Iterable[str]) -> str:
    """Return the description of the run that holds the comparison of the grid."""
    return (
        f"Comparison of {', '.join(models)} on {', '.join(data)}. Open the artifact `index.html`."
        f"\n\n{_block('hourglass repro')}"
    )


def study_note(cell: Cell, objective: str, trials: int, best: str, view: str) -> str:
    """Return the description of a study.

    `best` describes the best trial in Markdown, and `view` is the URL of the view of its trials.
    """
    command = f"hourglass tune {cell.data} {cell.model} --objective {objective}"
    return (
        f"Hyperparameter search of **{cell.model}** on **{cell.data}**, objective `{objective}`, "
        f"{counted(trials, 'trial')}. {best}\n\n[All trials of the study]({view}). "
        "Search further, or apply the best values:\n\n"
        f"{_block(f'{command} --trials {2 * trials}', f'{command} --apply && dvc repro')}"
    )


def registered_model_note(data: str) -> str:
    """Return the description of the registered model of a data set."""
    return (
        f"Anomaly detectors for **{data}**. The alias `champion` marks the version in use: the one "
        "with a significantly higher AUROC on the test split than the champion before it. The tag "
        "`decision` of a version gives the reason.\n\n"
        + _block(
            f"hourglass promote {data} VARIANT",
            f"mlflow models serve -m models:/hourglass-{data}@champion --env-manager local",
        )
    )


def model_note(cell: Cell) -> str:
    """Return the description of the logged model of a cell."""
    return (
        f"Detector of **{cell.model}** on **{cell.data}**: weights, scaling and threshold, with "
        "the metrics of the test split. Register it:\n\n"
        f"{_block(f'hourglass promote {cell.data} {cell.model}')}"
    )


def version_note(cell: Cell, metrics: Mapping[str, float]) -> str:
    """Return the description of a version; `metrics` have the names of metrics.json."""
    return (  # the table of versions shows Markdown as it is
        f"{cell.model} on {cell.data}: {quality(section('test', metrics))}.\n\n"
        f"{_block(f'dvc repro evaluate@{cell.name}')}"
    )


def _block(*commands: str) -> str:
    return "\n".join(["```sh", *commands, "```"])
