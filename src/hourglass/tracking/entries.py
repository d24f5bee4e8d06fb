"""Metrics and params as MLflow shows them: section names, rounded values, and relevant settings.

MLflow shows the part of a metric's name before the slash as a section:

- `training/`: curves and results of the training
- `calibration/`: the threshold
- `test/` and `interval/`: metrics of the test split, and the ends of their 95 % intervals
- `codes/`: quality of the latent codes
- `tuning/` and `best/`: the objective of a study, and the best hyperparameters
- `timing/`: seconds and rates
- `system/`: MLflow's measurements of the machine

Runs of earlier versions have the same names without the section, and unrounded values.
"""

import math
from collections.abc import Mapping
from typing import Any

INTERVAL_ENDS = ("_low", "_high")
SIGNIFICANT_DIGITS = 5  # of a metric; the files of the stages hold all digits
MAX_PARAM_CHARACTERS = 6000  # MLflow's limit
NOT_METRICS = ("epoch", "phase")  # columns of a training history
# Values of settings that turn something off. Such settings are not logged: they would fill the
# table of params with dozens of identical columns. The artifact settings.yaml has all settings.
OFF: tuple[Any, ...] = (None, False, 0, "", [])
NEUTRAL = {"downsampling": 1, "trainer.devices": 1}  # other values without effect
ALWAYS_LOGGED = ("data", "model", "seed", "latent_dim")


def section(name: str, metrics: Mapping[str, float]) -> dict[str, float]:
    """Return metrics with the names and the rounded values for a section of the MLflow UI.

    The ends of intervals go to the section `interval`.
    """
    return {
        f"{'interval' if key.endswith(INTERVAL_ENDS) else name}/{key}": rounded(value)
        for key, value in metrics.items()
    }


def rounded(value: float) -> float:
    """Round a metric to five significant digits; whole and infinite numbers stay as they are."""
    if not math.isfinite(value) or value == int(value):
        return float(value)
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")


def earlier_name(name: str) -> str:
    """Return the name of a metric in runs of earlier versions."""
    return name.rpartition("/")[2]


def epoch_points(row: Mapping[str, Any]) -> list[tuple[str, int, float]]:
    """Return the name, step and value of each metric in one row of a training history.

    Metrics of a pre-training phase have its name as a prefix.
    """
    prefix = f"{row['phase']}_" if row.get("phase") else ""
    values = {f"{prefix}{key}": row[key] for key in row if key not in NOT_METRICS}
    return [(key, int(row["epoch"]), value) for key, value in section("training", values).items()]


def settings_params(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings of a cell that have an effect as MLflow params, named as in YAML files.

    `latent_dim` in `settings` itself is the resolved size of the latent code.
    """
    flat = settings["init_args"] | settings["training"]
    flat |= {key: settings[key] for key in ALWAYS_LOGGED if key in settings}
    flat |= {f"trainer.{key}": value for key, value in settings["trainer"].items()}
    flat.pop("sample_shape", None)  # a property of the data set
    return {
        key: str(value)[:MAX_PARAM_CHARACTERS]
        for key, value in flat.items()
        if key in ALWAYS_LOGGED or not (value in OFF or NEUTRAL.get(key) == value)
    }
