"""One score of several, each standardised by what it gives normal samples."""

import numpy as np
import torch
from torch import Tensor

from hourglass.core.errors import UserError
from hourglass.detection.scorers.base import Scorer, Scores, State
from hourglass.detection.scorers.forward_cache import ForwardCache

# Of a part's median score, added to it: a few samples whose score is 0, such as repeated ones among
# neighbours, have no logarithm, and must not verdict the standard deviation.
FLOOR = 0.01
TINY = float(np.finfo(np.float32).tiny)


class Combined(Scorer):
    """Average the logarithms of several scores, in standard deviations from normal samples' mean.

    That makes scores of any unit and spread comparable. Mean and standard deviation are those of
    every second normal sample under parts that have learnt from the others; in the end the parts
    learn from all. The average goes through log(1 + exp(.)), which keeps the order, so that no
    score is negative.

    Raises a UserError without at least two `parts`.
    """

    name = "combined"

    def __init__(self, parts: list[Scorer]) -> None:
        if len(parts) < 2:
            raise UserError(
                f"parts names {len(parts)} scorers, but a combination needs at least 2."
            )
        self.parts = parts

    def look(self, view: ForwardCache) -> Tensor:
        """Return what the parts look at side by side, after how many elements each has."""
        looks = [part.look(view) for part in self.parts]
        widths = view.x.new_tensor([look.shape[1] for look in looks])
        return torch.cat([widths.expand(len(view.x), -1), *looks], 1)

    def fit(self, seen: np.ndarray) -> State:
        """Return the states of the parts, and mean and standard deviation of their log-scores."""
        first, second, every = (self._split(part) for part in (seen[::2], seen[1::2], seen))
        state: State = {}
        held = []
        for i, part in enumerate(self.parts):
            held.append(part.scores(part.fit(first[i]))(second[i]))
            state |= {f"{i}.{key}": value for key, value in part.fit(every[i]).items()}
        floor = np.maximum(FLOOR * np.median(held, 1), TINY)
        logs = np.log(np.maximum(held, 0) + floor[:, None])
        return state | {"floor": floor, "mean": logs.mean(1), "sd": np.maximum(logs.std(1), 1e-6)}

    def scores(self, state: State) -> Scores:
        """Return the softplus of the mean standardised log-score."""
        functions = [part.scores(part_state(state, i)) for i, part in enumerate(self.parts)]

        def score(seen: np.ndarray) -> np.ndarray:
            looks = zip(functions, self._split(seen), strict=True)
            found = np.stack([function(look) for function, look in looks], 1)
            logs = np.log(np.maximum(found, 0) + state["floor"])
            return np.logaddexp(0, ((logs - state["mean"]) / state["sd"]).mean(1))

        return score

    def _split(self, seen: np.ndarray) -> list[np.ndarray]:
        """Return what each part looked at."""
        count = len(self.parts)
        widths = seen[0, :count].astype(int) if len(seen) else np.zeros(count, int)
        return np.split(seen[:, count:], np.cumsum(widths)[:-1], axis=1)


def part_state(state: State, i: int) -> State:
    """Return what the part of this number has learnt."""
    prefix = f"{i}."
    return {key.removeprefix(prefix): state[key] for key in state if key.startswith(prefix)}
