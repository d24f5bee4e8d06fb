"""The scorer interface: extract features, fit them on normal samples, map them to scores."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

import numpy as np
from torch import Tensor

from hourglass.detection.scorers.forward_cache import ForwardCache
from hourglass.networks.heads import column_mean
from hourglass.networks.weights import class_at

# The fitted parameters of a scorer: arrays by name, for safetensors.
State: TypeAlias = dict[str, np.ndarray]
# A NumPy array for inference, or a tensor for the ONNX export; features are float64.
Array: TypeAlias = Any
# Extracted features, (N, F), to scores, (N,).
ScoreFunction: TypeAlias = Callable[[Array], Array]


def known_mean(features: np.ndarray) -> np.ndarray:
    """Return the mean of each feature without NaN: (n, F) -> (F,) float64; 0 if all are NaN."""
    known = ~np.isnan(features)
    total = features.sum(0, dtype=np.float64, where=known)
    return np.asarray(total / np.maximum(known.sum(0), 1))


class Scorer(ABC):
    """Base class of scorers: a non-negative score per sample, higher for anomalous samples.

    The constructor takes the settings. Fitted parameters are a separate `State`, so that both can
    be written to files without code.
    """

    name: ClassVar[str]  # name shown in MLflow and tables
    is_fitted: ClassVar[bool] = True  # whether `fit` depends on samples
    uses_held_out: ClassVar[bool] = False  # whether `fit_held_out` differs from `fit`

    @abstractmethod
    def extract(self, forward: ForwardCache) -> Tensor:
        """Return the features that the score depends on, (N, F)."""

    def fit(self, features: np.ndarray) -> State:
        """Fit the scorer to the features of normal samples, (n, F) float32; default: no state."""
        return {}

    def fit_held_out(self, features: np.ndarray, held_out: np.ndarray) -> State:
        """Fit the scorer, also to samples that the network was not trained on, (m, F).

        By default they are not used.
        """
        return self.fit(features)

    @abstractmethod
    def score_function(self, state: dict[str, Array]) -> ScoreFunction:
        """Return the function from features to scores.

        The ONNX export calls it with tensors instead of NumPy arrays, as state and as features.
        Operators and methods that both types have, such as `@` and `sum`, serve both.
        """

    def traced_score(self, forward: ForwardCache, state: dict[str, Tensor]) -> Tensor:
        """Return the scores, (N,) float64, by operations that the ONNX export can trace."""
        return self.score_function(state)(per_sample(self.extract(forward)).double())

    def describe(self) -> dict[str, Any]:
        """Return the class path and the settings, for YAML and JSON files."""
        kind = type(self)
        settings = {
            key: [part.describe() for part in value] if isinstance(value, list) else value
            for key, value in vars(self).items()
        }
        return {"class_path": f"{kind.__module__}.{kind.__qualname__}", "init_args": settings}

    @staticmethod
    def from_description(config: dict[str, Any]) -> "Scorer":
        """Return the scorer from the output of `describe`."""
        settings = {
            key: [Scorer.from_description(part) for part in value]
            if isinstance(value, list)
            else value
            for key, value in config["init_args"].items()
        }
        scorer: Scorer = class_at(config["class_path"], Scorer)(**settings)
        return scorer

    def params(self) -> dict[str, str]:
        """Return the name and the settings as MLflow params."""
        settings = {
            key: ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            for key, value in vars(self).items()
        }
        return {"score": self.name, **{f"score_{key}": settings[key] for key in settings}}

    def __str__(self) -> str:
        """Return the name, with the settings if there are any."""
        settings = ", ".join(
            f"{key} {', '.join(map(str, value)) if isinstance(value, list) else value}"
            for key, value in vars(self).items()
        )
        return f"{self.name} ({settings})" if settings else self.name


def per_sample(features: Tensor) -> Tensor:
    """Return features per sample, (N, F); those of windows by step, (N, W, F), are averaged."""
    return column_mean(features.transpose(1, 2)) if features.ndim == 3 else features
