"""Settings of the estimator: the variants by name, and defaults that depend on the samples."""

import inspect
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from hourglass import models
from hourglass.core.errors import UserError
from hourglass.core.suggestions import did_you_mean
from hourglass.core.yaml_config import Yaml, arguments, construct, resolve
from hourglass.data.prepared_data import Prepared
from hourglass.detection.calibrators import Calibrator, Conformal, LabelledCalibrator
from hourglass.detection.scorers import (
    Combined,
    ModelScore,
    Neighbors,
    Scorer,
    StandardizedError,
)
from hourglass.models import VARIANTS
from hourglass.models.base import LitAutoencoder
from hourglass.models.undercomplete import Undercomplete
from hourglass.networks import is_image
from hourglass.training.cell_settings import CellSettings, TrainingPlan
from hourglass.training.suggested_sizes import suggested_settings


def variant_class(variant: str | type) -> type[LitAutoencoder]:
    """Return the class of a variant, given by its name or as the class itself.

    Raises a UserError with the nearest name if there is no such variant.
    """
    if isinstance(variant, type) and issubclass(variant, LitAutoencoder):
        return variant
    if variant not in VARIANTS:
        hint = did_you_mean(str(variant), VARIANTS)
        raise UserError(f"there is no variant {variant!r}; {hint}")
    kind: type[LitAutoencoder] = getattr(models, VARIANTS[str(variant)])
    return kind


def estimator_settings(
    variant: str | type,
    shape: Sequence[int],
    *,
    init_args: Yaml,
    training: Yaml,
    trainer: Yaml,
    seed: int,
) -> tuple[type[LitAutoencoder], CellSettings]:
    """Return the class of a variant, and all settings of its training on samples (N, *S) = `shape`.

    Values that are None in `init_args` and `training` get their defaults. Raises a UserError for
    unknown settings and for values of the wrong type.
    """
    kind = variant_class(variant)
    name = kind.__name__ if isinstance(variant, type) else variant
    where, fixed = f"variant {name!r}", {"sample_shape": list(shape[1:])}
    rows, *sample_shape = shape
    suggested_args, plan = suggested_settings(sample_shape, rows, kind.__name__.lower())
    values, training = applicable(kind, suggested_args) | to_plain(init_args), to_plain(training)
    if "max_epochs" in training:
        plan = {"batch_size": plan["batch_size"]}
    training = resolve(TrainingPlan, plan | training, "Autoencoder")
    return kind, CellSettings(
        data="Autoencoder",
        model=name,
        class_path=f"{kind.__module__}.{kind.__qualname__}",
        init_args=resolve(kind, values, where, fixed),
        training=construct(TrainingPlan, training, "Autoencoder").training(rows),
        trainer=trainer,
        seed=seed,
    )


def default_scorer(prepared: Prepared) -> Scorer:
    """Return the reconstruction error for images; for tables, one with distances of samples.

    The distance to the nearest training samples raises the mean AUROC (docs/decisions.md).
    `hourglass try` has the same score.
    """
    if is_image(prepared.sample_shape):
        return ModelScore()
    few = len(prepared.x("train")) // 2 - 1  # the scorers are compared on halves
    return Combined([StandardizedError(), Neighbors(min(5, few), of="input")])


def usable_calibrator(
    calibrator: Calibrator | None, alpha: float, samples: int, pool: int
) -> Calibrator:
    """Return the calibrator for a number of calibration samples, by default a conformal one.

    `pool` is the number of scores if folds replace too few calibration samples. If these are too
    few for alpha too, the threshold is the highest of their scores, with a warning.
    Raises a UserError for a calibrator that needs labels.
    """
    if isinstance(calibrator, LabelledCalibrator):
        raise UserError(
            f"{type(calibrator).__name__} needs labelled anomalies, but all samples of a fit are "
            "normal; use another calibrator."
        )
    if calibrator is not None:
        return calibrator
    needed = Conformal(alpha).min_samples
    scores = samples if samples >= needed else pool
    smallest = 1 / (scores + 1)
    if alpha < smallest:
        warnings.warn(
            f"{scores} calibration samples are too few for alpha {alpha}: the expected "
            f"false-alarm rate is {smallest:.3g}. Give {needed} calibration samples or raise "
            "alpha.",
            stacklevel=4,  # the caller of `fit`
        )
    return Conformal(max(alpha, smallest))


def applicable(kind: type[LitAutoencoder], suggested: Yaml) -> Yaml:
    """Select the suggestions for settings that a variant does not have its own default for.

    The sparse variant, for example, has a wide latent code on purpose.
    """
    names = set(arguments(kind))
    own, common = (inspect.signature(cls).parameters for cls in (kind, Undercomplete))
    kept = {name for name in own.keys() & common if own[name].default != common[name].default}
    return {name: value for name, value in suggested.items() if name in names - kept}


def to_plain(values: Yaml) -> Yaml:
    """Drop values that are None; convert NumPy's numbers and arrays, and tuples, as in YAML."""
    return {name: _plain(value) for name, value in values.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value
