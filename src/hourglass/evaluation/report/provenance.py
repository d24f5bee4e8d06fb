"""The origin of a cell's weights: settings, seed, data and, if recorded, date and commit."""

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import yaml

from hourglass.core.paths import Cell

DIGITS = 12  # shown of a digest or a commit
MAX_VALUES = 3  # listed in the summary
VERSIONS = {"hourglass": "hourglass.version", "torch": "torch", "Python": "python"}


@dataclass(frozen=True)
class Origin:
    """The origin of a cell's weights; unknown values are None or empty."""

    settings: str  # YAML
    seed: int
    data: str  # digest of the prepared data
    epochs: int
    best_epoch: int
    still_improving: bool = False  # the validation error fell until max_epochs ended the training
    seconds: float | None = None
    trained: str = ""  # date and time, UTC
    commit: str = ""
    versions: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, cell: Cell, timing: dict[str, Any]) -> "Origin":
        """Read the origin of a trained cell.

        `timing` is the record of the training in tracking/, {} if there is none. DVC does not
        track it, because date and duration differ from run to run: after `dvc pull` it is missing.
        """
        folder = cell.output("train")
        settings = yaml.safe_load((folder / "settings.yaml").read_text(encoding="utf-8"))
        summary = json.loads((folder / "training.json").read_text(encoding="utf-8"))
        tags = timing.get("environment", {})
        started = timing.get("started")
        commit = tags.get("mlflow.source.git.commit", "")[:DIGITS]
        changed = tags.get("git.uncommitted_changes") == "true"
        parts = {key: settings[key] for key in ("class_path", "init_args", "training", "trainer")}
        return cls(
            settings=yaml.safe_dump(parts, sort_keys=False, default_flow_style=None, width=72),
            seed=settings["seed"],
            data=summary.get("data", "")[:DIGITS],
            epochs=summary["epochs"],
            best_epoch=summary["best_epoch"],
            still_improving=bool(summary.get("still_improving", False)),
            seconds=timing.get("seconds"),
            trained=f"{datetime.fromtimestamp(started / 1000, UTC):%Y-%m-%d %H:%M}"
            if started
            else "",
            commit=commit + (", uncommitted changes" if commit and changed else ""),
            versions={name: tags[tag] for name, tag in VERSIONS.items() if tag in tags},
        )


def summary(origins: Collection[Origin]) -> dict[str, str]:
    """Return the values of all trainings by title; a value that they share is listed once."""
    days = sorted({origin.trained.partition(" ")[0] for origin in origins} - {""})
    values = {
        "trained": {" to ".join(dict.fromkeys((days[0], days[-1])))} if days else set(),
        "commit": {origin.commit for origin in origins},
        "seed": {str(origin.seed) for origin in origins},
        **{name: {origin.versions.get(name, "") for origin in origins} for name in VERSIONS},
    }
    shown = {name: sorted(group - {""}) for name, group in values.items()}
    return {
        name: ", ".join(group) if len(group) <= MAX_VALUES else f"{len(group)} different"
        for name, group in shown.items()
        if group
    }
