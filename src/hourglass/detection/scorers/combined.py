"""A score that averages several scores, each standardised on normal samples."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from hourglass.core.errors import UserError
from hourglass.core.suggestions import counted
from hourglass.detection.scorers.base import Array, ScoreFunction, Scorer, State, per_sample
from hourglass.detection.scorers.forward_cache import ForwardCache

# Constant added to a part's scores before the logarithm, as a fraction of their median. Without
# it, a few scores of 0 would dominate the standard deviation; `Neighbors` gives 0 to duplicates.
FLOOR_FRACTION = 0.01
TINY = float(np.finfo(np.float32).tiny)


class Combined(Scorer):
    """Average the logarithms of several scores after standardising each on normal samples.

    Standardisation makes scores of any unit and spread comparable. Samples that the network was not
    trained on give the mean and standard deviation of the log-scores, as they score like new ones.
    Without such samples, half of the normal ones do, while the other half fits the parts. The final
    parts are fitted to all normal samples. A softplus, log(1 + exp(.)), makes the average positive
    and preserves its order.

    Raises a UserError for fewer than two `parts`.
    """

    name = "combined"
    uses_held_out = True

    def __init__(self, parts: list[Scorer]) -> None:
        if len(parts) < 2:
            raise UserError(
                f"parts names {counted(len(parts), 'scorer')}, but a combination needs at least 2."
            )
        self.parts = parts

    def extract(self, forward: ForwardCache) -> Tensor:
        """Return each part's number of features, then the features of all parts, (N, P + F)."""
        features = [per_sample(part.extract(forward)) for part in self.parts]
        widths = forward.x.new_tensor([array.shape[1] for array in features])
        return torch.cat([widths.expand(len(forward.x), -1), *features], 1)

    def fit(self, features: np.ndarray) -> State:
        """Return the parts' states, and the mean and standard deviation of their log-scores."""
        usual = self.fit_held_out(features[::2], features[1::2])
        states = self._fit_parts(features)
        return self._joined(states) | {key: usual[key] for key in ("floor", "mean", "sd")}

    def fit_held_out(self, features: np.ndarray, held_out: np.ndarray) -> State:
        """Return the same as `fit`; `held_out` gives means and standard deviations."""
        states = self._fit_parts(features)
        pairs = zip(self.parts, states, self._split(held_out), strict=True)
        scores = [
            part.score_function(state)(rows.astype(np.float64)) for part, state, rows in pairs
        ]
        floor = np.maximum(FLOOR_FRACTION * np.median(scores, 1), TINY)
        logs = np.log(np.maximum(scores, 0) + floor[:, None])
        usual = {"floor": floor, "mean": logs.mean(1), "sd": np.maximum(logs.std(1), 1e-6)}
        return self._joined(states) | usual

    def _fit_parts(self, features: np.ndarray) -> list[State]:
        return [
            part.fit(rows) for part, rows in zip(self.parts, self._split(features), strict=True)
        ]

    @staticmethod
    def _joined(states: list[State]) -> State:
        """Return the states of all parts, with their index before each key."""
        return {f"{i}.{key}": state[key] for i, state in enumerate(states) for key in state}

    def score_function(self, state: dict[str, Array]) -> ScoreFunction:
        """Return the function from features to the softplus of the mean standardised log-score."""
        functions = [
            part.score_function(_part_state(state, i)) for i, part in enumerate(self.parts)
        ]

        def score(features: Array) -> Array:
            pairs = zip(functions, self._split(features), strict=True)
            return _combine([function(part) for function, part in pairs], state)

        return score

    def traced_score(self, forward: ForwardCache, state: dict[str, Tensor]) -> Tensor:
        """Return the scores without joining features, as a trace cannot split them by width."""
        scores = [
            part.traced_score(forward, _part_state(state, i)) for i, part in enumerate(self.parts)
        ]
        return _combine(scores, state)

    def _split(self, features: np.ndarray) -> list[np.ndarray]:
        """Split the output of `extract` into the features of each part."""
        count = len(self.parts)
        widths = features[0, :count].astype(int) if len(features) else np.zeros(count, int)
        return np.split(features[:, count:], np.cumsum(widths)[:-1], axis=1)


def _combine(scores: list[Array], state: dict[str, Array]) -> Array:
    """Return the softplus of the mean standardised log-score from the scores of all parts."""
    xp: Any = torch if isinstance(scores[0], Tensor) else np
    logs = xp.log(xp.stack(scores, 1).clip(min=0) + state["floor"])
    return softplus(((logs - state["mean"]) / state["sd"]).mean(1))


def softplus(values: Array) -> Array:
    """Return log(1 + exp(values)), which is positive and preserves the order."""
    if isinstance(values, Tensor):  # in ONNX, logaddexp overflows, and Softplus is float32 only
        return values.clip(min=0) + (1 + (-values.abs()).exp()).log()
    return np.logaddexp(0, values)


def _part_state(state: dict[str, Array], i: int) -> dict[str, Array]:
    """Return the state of the i-th part, without the prefix of its keys."""
    prefix = f"{i}."
    return {key.removeprefix(prefix): state[key] for key in state if key.startswith(prefix)}
