"""A score that averages several scores, each standardised on normal samples."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from hourglass.core.errors import UserError
from hourglass.core.suggestions import counted
from hourglass.detection.scorers.base import Array, ScoreFunction, Scorer, State
from hourglass.detection.scorers.forward_cache import ForwardCache

# Constant added to a part's scores before the logarithm, as a fraction of their median. Without
# it, a few scores of 0 would dominate the standard deviation; `Neighbors` gives 0 to duplicates.
FLOOR_FRACTION = 0.01
TINY = float(np.finfo(np.float32).tiny)


class Combined(Scorer):
    """Average the logarithms of several scores after standardising each on normal samples.

    Standardisation makes scores of any unit and spread comparable. Half of the normal samples fit
    the parts; the other half gives the mean and standard deviation of their log-scores. The final
    parts are then fitted to all normal samples. A softplus, log(1 + exp(.)), makes the average
    positive and preserves its order.

    Raises a UserError for fewer than two `parts`.
    """

    name = "combined"

    def __init__(self, parts: list[Scorer]) -> None:
        if len(parts) < 2:
            raise UserError(
                f"parts names {counted(len(parts), 'scorer')}, but a combination needs at least 2."
            )
        self.parts = parts

    def extract(self, forward: ForwardCache) -> Tensor:
        """Return each part's number of features, then the features of all parts, (N, P + F)."""
        features = [part.extract(forward) for part in self.parts]
        widths = forward.x.new_tensor([array.shape[1] for array in features])
        return torch.cat([widths.expand(len(forward.x), -1), *features], 1)

    def fit(self, features: np.ndarray) -> State:
        """Return the parts' states, and the mean and standard deviation of their log-scores."""
        first, second, all_samples = (
            self._split(rows) for rows in (features[::2], features[1::2], features)
        )
        state: State = {}
        held_out = []
        for i, part in enumerate(self.parts):
            score = part.score_function(part.fit(first[i]))
            held_out.append(score(second[i].astype(np.float64)))
            state |= {f"{i}.{key}": value for key, value in part.fit(all_samples[i]).items()}
        floor = np.maximum(FLOOR_FRACTION * np.median(held_out, 1), TINY)
        logs = np.log(np.maximum(held_out, 0) + floor[:, None])
        return state | {"floor": floor, "mean": logs.mean(1), "sd": np.maximum(logs.std(1), 1e-6)}

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
    mean = ((logs - state["mean"]) / state["sd"]).mean(1)
    if isinstance(mean, Tensor):  # in ONNX, logaddexp overflows, and Softplus is float32 only
        return mean.clip(min=0) + (1 + (-mean.abs()).exp()).log()
    return np.logaddexp(0, mean)


def _part_state(state: dict[str, Array], i: int) -> dict[str, Array]:
    """Return the state of the i-th part, without the prefix of its keys."""
    prefix = f"{i}."
    return {key.removeprefix(prefix): state[key] for key in state if key.startswith(prefix)}
