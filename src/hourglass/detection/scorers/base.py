"""What a scorer is: it looks at samples through a network, and knows how normal ones look."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

import numpy as np
from torch import Tensor

from hourglass.detection.scorers.forward_cache import ForwardCache
from hourglass.networks.weights import class_at

# What a scorer learnt from normal samples: arrays by name, for safetensors.
State: TypeAlias = dict[str, np.ndarray]
# Of what is looked at, (N, F) float32, to scores, (N,) float64.
Scores: TypeAlias = Callable[[np.ndarray], np.ndarray]


class Scorer(ABC):
    """Give every sample a score that is not negative: a higher one means more abnormal.

    The constructor takes the settings; what is learnt from normal samples is a `State` apart, so
    that both can be written to files that hold no code.
    """

    name: ClassVar[str]  # in MLflow and in tables

    @abstractmethod
    def look(self, view: ForwardCache) -> Tensor:
        """Return what the score depends on, (N, F)."""

    def fit(self, seen: np.ndarray) -> State:
        """Return what is to be known of normal samples' looks, (n, F) float32; nothing here."""
        return {}

    @abstractmethod
    def scores(self, state: State) -> Scores:
        """Return the function from looks to scores."""

    def describe(self) -> dict[str, Any]:
        """Return the class path and the settings, from which YAML and JSON files build a scorer."""
        kind = type(self)
        settings = {
            key: [each.describe() for each in value] if isinstance(value, list) else value
            for key, value in vars(self).items()
        }
        return {"class_path": f"{kind.__module__}.{kind.__qualname__}", "init_args": settings}

    @staticmethod
    def described(config: dict[str, Any]) -> "Scorer":
        """Return the scorer that `describe` described."""
        settings = {
            key: [Scorer.described(each) for each in value] if isinstance(value, list) else value
            for key, value in config["init_args"].items()
        }
        scorer: Scorer = class_at(config["class_path"], Scorer)(**settings)
        return scorer

    def params(self) -> dict[str, str]:
        """Return what tells one scorer from another, as MLflow params."""
        settings = {
            key: ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            for key, value in vars(self).items()
        }
        return {"score": self.name, **{f"score_{key}": settings[key] for key in settings}}

    def __str__(self) -> str:
        """Return the name, and the settings where there are any."""
        settings = ", ".join(f"{key} {value}" for key, value in vars(self).items())
        return f"{self.name} ({settings})" if settings else self.name
