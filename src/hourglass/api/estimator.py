"""A scikit-learn estimator: train, calibrate and apply an autoencoder on arrays and DataFrames."""

import math
import numbers
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    OutlierMixin,
    TransformerMixin,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import check_is_fitted

from hourglass.api.explanation import explanation, row_index
from hourglass.api.outlier_methods import OutlierMethods
from hourglass.api.samples import (
    MIN_SAMPLES,
    divide_samples,
    has_value,
    prepare_in_memory,
    read_samples,
    with_train_levels,
    with_values,
)
from hourglass.api.settings import (
    default_scorer,
    estimator_settings,
    usable_calibrator,
)
from hourglass.core.errors import UserError
from hourglass.core.suggestions import counted
from hourglass.data.columns.column import Column, ColumnScaling
from hourglass.data.prepared_data import Split
from hourglass.detection.calibration import calibrate_detector
from hourglass.detection.calibrators import Calibrator
from hourglass.detection.detector import Detector
from hourglass.detection.inference import batched
from hourglass.detection.scorers import Scorer
from hourglass.detection.scoring import latent_codes, require_finite
from hourglass.models.base import LitAutoencoder
from hourglass.networks import Network
from hourglass.training.cell_settings import CellSettings
from hourglass.training.convergence import still_improving
from hourglass.training.fold_training import fold_training
from hourglass.training.in_memory import train_in_memory
from hourglass.training.suggested_sizes import table_variant
from hourglass.tuning.objectives.detection import SyntheticDetection

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def value_errors() -> Iterator[None]:
    """Raise UserErrors as ValueErrors, which scikit-learn and its users expect."""
    try:
        yield
    except UserError as error:
        raise ValueError(str(error)) from None


class Autoencoder(
    OutlierMethods,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    OutlierMixin,
    BaseEstimator,
):
    """An autoencoder as an outlier detector and transformer for scikit-learn.

    `fit` takes all samples as normal. It trains on most of them, ends the training by the error of
    the validation samples, and sets the threshold by the scores of the calibration samples. Equal
    settings, seeds and splits give the scores of the command line, to the bit.

    `X` is an array or a DataFrame, (N, F), or an array of images, (N, H, W) or (N, C, H, W), uint8
    or float in [0, 1]. NaN is a missing cell. A row without any value is not used in `fit`; its
    score is NaN, and `predict` gives 1, no alarm. The columns of a DataFrame may hold numbers,
    text, truth values and dates; their kinds are inferred, and a warning names columns that are no
    features, such as row numbers and free text. At least 10 samples are needed. With fewer than
    1 / `alpha` - 1 calibration samples, networks are trained on folds of `X`, whose out-of-fold
    scores set the threshold (cross-conformal); the false-alarm rate is then `alpha`
    approximately. If `X` has fewer samples than that, a warning names the expected rate.

    Parameters
    ----------
    variant
        None for "ensemble" on tables of numbers, "variational" on tables with more other columns,
        and "denoising" on images or with `latent_dim` or `hidden`; or the name of a module in
        `hourglass.models`, such as "undercomplete"; or a subclass of `LitAutoencoder`.
    latent_dim
        Size of the latent code; None for one that suits the samples, as for the next three.
    hidden
        Widths of the layers of dense variants.
    noise_factor
        Standard deviation of the noise that is added to training inputs.
    learning_rate
        Learning rate of Adam.
    init_args
        Other settings of the variant's constructor, by name; they override those above.
    batch_size
        Samples per step; None for a number that suits the samples.
    max_epochs
        Number of epochs after which training stops; None for 100, within bounds in steps that suit
        the samples.
    patience
        Number of epochs without a lower validation error after which training stops; None for a
        fifth of `max_epochs`, but at least 10.
    scaling
        Scaling of numbers, fitted to the training samples: "standard" (zero mean and unit
        variance), "robust" (median and interquartile range), "minmax" ([0, 1]), "quantile" (normal
        quantiles of ranks), "log" (signed logarithm, then standard) or "none". "auto" is "log" for
        a column with heavy tails, else "standard". Images ignore it.
    scorer
        An object of `hourglass.detection.scorers`. None for `ModelScore()`, the reconstruction
        error, of images, and for `Combined([StandardizedError(), Neighbors()])` of tables.
    calibrator
        An object of `hourglass.detection.calibrators` that needs no labels; None for
        `Conformal(alpha)`.
    alpha
        Highest expected rate of false alarms.
    validation_fraction
        Share of the samples that decide when training stops.
    calibration_fraction
        Share of the samples that set the threshold.
    accelerator
        "cpu", "gpu" or "auto", as in Lightning's Trainer.
    random_state
        An integer for the same result in every fit; None or a RandomState for another one.
    verbose
        Print a line per epoch.

    Attributes
    ----------
    threshold_ : float
        Samples with a higher anomaly score are outliers.
    offset_ : float
        Minus `threshold_`, less a tolerance for rounding; `decision_function` is `score_samples`
        minus it.
    detector_ : hourglass.detection.detector.Detector
        Network, scorer and threshold; `detector_.threshold` has the expected false-alarm rate.
    history_ : DataFrame
        Training loss, validation error and learning rate of each epoch.
    n_features_in_ : int
    feature_names_in_ : array of str, if `X` was a DataFrame

    """

    _columns: tuple[Column, ...] | None  # of a DataFrame whose cells are not all numbers

    def __init__(
        self,
        variant: str | type | None = None,
        *,
        latent_dim: int | None = None,
        hidden: Sequence[int] | None = None,
        noise_factor: float | None = None,
        learning_rate: float | None = None,
        init_args: dict[str, Any] | None = None,
        batch_size: int | None = None,
        max_epochs: int | None = None,
        patience: int | None = None,
        scaling: ColumnScaling = "auto",
        scorer: Scorer | None = None,
        calibrator: Calibrator | None = None,
        alpha: float = 0.05,
        validation_fraction: float = 0.1,
        calibration_fraction: float = 0.2,
        accelerator: str = "cpu",
        random_state: int | np.random.RandomState | None = 0,
        verbose: bool = False,
    ) -> None:
        self.variant = variant
        self.latent_dim = latent_dim
        self.hidden = hidden
        self.noise_factor = noise_factor
        self.learning_rate = learning_rate
        self.init_args = init_args
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.patience = patience
        self.scaling = scaling
        self.scorer = scorer
        self.calibrator = calibrator
        self.alpha = alpha
        self.validation_fraction = validation_fraction
        self.calibration_fraction = calibration_fraction
        self.accelerator = accelerator
        self.random_state = random_state
        self.verbose = verbose

    @value_errors()
    def fit(
        self, X: Any, y: Any = None, *, validation: Any = None, calibration: Any = None
    ) -> Self:
        """Train and calibrate on normal samples; `y` is ignored.

        `validation` and `calibration` replace the samples that are otherwise taken from `X` at
        random, for example by later ones if samples follow each other in time. Raises a ValueError
        for settings or samples that cannot be used.
        """
        import pandas as pd

        x = with_values(read_samples(self, X, fitting=True, minimum=MIN_SAMPLES))
        seed = _seed(self.random_state)
        parts = self._split(x, seed, validation=validation, calibration=calibration)
        columns = self._columns or self._numeric_columns(x)
        if self._columns:
            parts, columns = with_train_levels(parts, columns)
            self._columns = columns
        size = len(parts["calibration"])
        # Without folds if the caller chose the calibration samples, as by time.
        pool = size if calibration is not None else sum(map(len, parts.values()))
        calibrator = usable_calibrator(self.calibrator, self.alpha, size, pool)
        prepared = prepare_in_memory(parts, self.scaling, columns)
        kind, settings = self._settings((len(parts["train"]), *prepared.input_shape), columns, seed)
        on_epoch = _print_epoch if self.verbose else None
        network, rows = train_in_memory(kind, settings, prepared, on_epoch)
        _warn_if_still_improving(rows, settings)
        scorer = self.scorer or default_scorer(prepared)
        train = fold_training(kind, settings) if pool > size else None
        self.detector_, _ = calibrate_detector(
            network, prepared, scorer, calibrator, {}, train, seed
        )
        self.history_ = pd.DataFrame(rows)
        return self

    @value_errors()
    def anomaly_score(self, X: Any) -> np.ndarray:
        """Return the anomaly scores, (N,); a higher score is more abnormal.

        The score of a row without any value is NaN.
        """
        x = self._read(X)
        (scores,) = self.detector_.scoring.score_with(x)
        known = has_value(x)
        require_finite(np.where(known, scores, 0.0))
        scores[~known] = np.nan
        return scores

    @value_errors()
    def explain(self, X: Any, top: int | None = None) -> "pd.DataFrame | np.ndarray":
        """Return the contribution of every feature or pixel to each sample's error.

        A contribution is the squared error of the feature or pixel minus its mean on normal
        samples, in standard deviations. The result is a DataFrame with a column per feature. With
        `top`, its columns are feature_1, contribution_1, reason_1, feature_2 and so on, for as many
        features, in descending order. For images it is an array, (N, C, H, W): their error maps.
        """
        return explanation(self.detector_, self._read(X), row_index(X), top)

    @value_errors()
    def transform(self, X: Any) -> np.ndarray:
        """Return the latent codes, (N, latent_dim) float32."""
        x = self._read(X)
        return latent_codes(self._network, x, self.detector_.scoring.scaling)

    def inverse_transform(self, Z: Any) -> np.ndarray:
        """Return the reconstructions of latent codes, (N, latent_dim), in the units of `X`."""
        check_is_fitted(self, "detector_")
        codes = check_array(Z, dtype=np.float32)
        if codes.shape[1] != self._n_features_out:
            raise ValueError(
                f"Z has {counted(codes.shape[1], 'column')}, but the codes have "
                f"{self._n_features_out}."
            )
        x = batched(self._network, self._network.decode_flat, codes)
        return self.detector_.scoring.scaling.inverse(x).reshape(len(x), *self.sample_shape_)

    @value_errors()
    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean AUROC against synthetic anomalies made from normal samples `X`.

        The default of searches such as `GridSearchCV`, which needs no labels; `y` is ignored. With
        labels, 1 for normal samples and -1 for outliers, use scoring="roc_auc". The reconstruction
        error would not do, because wider codes always have a smaller one.
        """
        x = self._read(X, minimum=2)
        scoring = self.detector_.scoring
        return SyntheticDetection().auroc(scoring, x, scoring.scaling)

    @value_errors()
    def save(self, folder: str | Path) -> None:
        """Write the detector to a folder, as safetensors and JSON, for `hourglass.load`."""
        check_is_fitted(self, "detector_")
        if not self.detector_.feature_names and self.detector_.inputs["dtype"] != "uint8":
            raise UserError("only images of bytes can be saved; fit on images of type uint8.")
        if Path(folder).is_file():
            raise UserError(f"{folder} is a file; name a folder for the files of the detector.")
        self.detector_.save(Path(folder))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = ["float32"]  # the type of all codes
        return tags

    @property
    def _detector(self) -> Detector:
        check_is_fitted(self, "detector_")
        return self.detector_

    @property
    def _network(self) -> Network:
        return self.detector_.scoring.network

    @property
    def _n_features_out(self) -> int:
        return math.prod(self._network.code_shape)

    def _read(self, X: Any, minimum: int = 1) -> np.ndarray:
        """Check new samples against those of the fit; return them unscaled."""
        check_is_fitted(self, "detector_")
        return read_samples(self, X, fitting=False, minimum=minimum)

    def _numeric_columns(self, x: np.ndarray) -> Sequence[Column]:
        """Return the columns of a table of numbers, by default x0, x1 and so on; [] for images."""
        if x.ndim == 4:
            return []
        names = getattr(self, "feature_names_in_", [f"x{i}" for i in range(x.shape[1])])
        return [Column(str(name)) for name in names]

    def _split(self, x: np.ndarray, seed: int, **others: Any) -> dict[Split, np.ndarray]:
        """Return the splits: `others` that are not None, the rest from the samples `x`."""
        fractions: dict[Split, float] = {
            "validation": self.validation_fraction,
            "calibration": self.calibration_fraction,
        }
        given = {
            name: with_values(read_samples(self, others[name], fitting=False))
            for name in fractions
            if others[name] is not None
        }
        return divide_samples(x, given, fractions, seed)

    def _default_variant(self, columns: Sequence[Column]) -> str:
        """Return the variant for a table, or for images, for which there are no columns.

        The defaults for tables have no setting for the size of the code.
        """
        is_sized = self.latent_dim is not None or self.hidden is not None
        return table_variant(columns) if columns and not is_sized else "denoising"

    def _settings(
        self, shape: tuple[int, ...], columns: Sequence[Column], seed: int
    ) -> tuple[type[LitAutoencoder], CellSettings]:
        """Return the class of the variant and all settings of its training on inputs of a shape."""
        names = ("latent_dim", "hidden", "noise_factor", "learning_rate")
        return estimator_settings(
            self.variant or self._default_variant(columns),
            shape,
            init_args={name: getattr(self, name) for name in names} | (self.init_args or {}),
            training={
                "batch_size": self.batch_size,
                "max_epochs": self.max_epochs,
                "patience": self.patience,
            },
            trainer={"accelerator": self.accelerator, "devices": 1},
            seed=seed,
        )


def _seed(random_state: Any) -> int:
    """Return an integer as it is, and draw one from any other random state."""
    if isinstance(random_state, numbers.Integral):
        seed = int(random_state)
        if not 0 <= seed < 2**32:  # the seeds of NumPy
            raise UserError(f"random_state is {seed}; use 0 to {2**32 - 1}.")
        return seed
    return int(check_random_state(random_state).randint(2**31 - 1))


def _warn_if_still_improving(rows: list[dict[str, Any]], settings: CellSettings) -> None:
    errors = [row["validation_error"] for row in rows if "phase" not in row]
    if still_improving(errors, settings.training.max_epochs):
        warnings.warn(
            "the validation error still fell when the training ended after "
            f"{counted(len(errors), 'epoch')}; raise max_epochs or learning_rate.",
            ConvergenceWarning,
            stacklevel=4,  # the caller of `fit`
        )


def _print_epoch(row: dict[str, Any]) -> None:
    values = (f"{name} {value:.4g}" for name, value in row.items() if isinstance(value, float))
    phase = f"{row['phase']} " if "phase" in row else ""
    print(f"{phase}epoch {row['epoch']}: {', '.join(values)}")
