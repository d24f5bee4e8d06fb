"""A score that aggregates the scores of an ensemble's members."""

from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from torch import Tensor

from hourglass.core.errors import UserError
from hourglass.detection.scorers.base import Array, ScoreFunction, Scorer, State, known_mean
from hourglass.detection.scorers.combined import softplus
from hourglass.detection.scorers.forward_cache import ForwardCache
from hourglass.detection.scorers.reconstruction import MIN_SCALE_FRACTION
from hourglass.networks.base import EnsembleNetwork
from hourglass.networks.heads import column_mean

Aggregation: TypeAlias = Literal["mean", "standardized", "rank"]
FLOOR_FRACTION = 0.01  # of the median error, added before the logarithm
MAX_RANKED = 1000  # normal scores of a member that ranks are counted among
TINY = float(np.finfo(np.float32).tiny)


class EnsembleScore(Scorer):
    """Aggregate the reconstruction errors of the members of an ensemble.

    The error of a member is its mean loss over the elements of a sample or the columns of a row.
    With `standardize`, each loss is first divided by its mean on normal samples, as in
    StandardizedError. `aggregation` is
    - "mean": the mean of the members' errors;
    - "standardized": the mean of their standardised logarithms, (log e - mean) / sd, as a softplus;
    - "rank": the mean of their ranks among the errors of normal samples, in [0, 1]. Above the
      highest of these, a rank goes on as 1 + log(e / highest), or all such samples would be equal.

    Means, deviations and ranks are those of normal samples, so that a score does not depend on the
    other samples of a batch. Samples that the network was not trained on are preferred.
    Sources: Chen et al. 2017 (RandNet), Aggarwal and Sathe 2015.
    Raises a UserError for another aggregation, or a network without members.
    """

    name = "ensemble"
    uses_held_out = True

    def __init__(self, aggregation: Aggregation = "rank", standardize: bool = True) -> None:
        if aggregation not in get_args(Aggregation):
            raise UserError(
                f"aggregation is {aggregation!r}, but must be mean, standardized or rank."
            )
        self.aggregation = aggregation
        self.standardize = standardize

    def extract(self, forward: ForwardCache) -> Tensor:
        """Return the number of members and the losses of each, (N, 1 + members * F).

        F is 1 without `standardize`. Those of a series are by step, (N, W, ...).
        """
        network = forward.network
        if not isinstance(network, EnsembleNetwork):
            raise UserError(
                "EnsembleScore aggregates the scores of an ensemble's members, but this network "
                "has none; use the variant ensemble or another `score`."
            )
        members = forward.member_logits.unbind(1)
        losses = torch.stack([_losses(network, forward.x, logits) for logits in members], -2)
        if not self.standardize:
            losses = column_mean(losses)[..., None]
        losses = losses.flatten(-2)
        return torch.cat([torch.full_like(losses[..., :1], len(members)), losses], -1)

    def fit(self, features: np.ndarray) -> State:
        """Return the normal losses and the normal errors of the members."""
        return self.fit_held_out(features, features)

    def fit_held_out(self, features: np.ndarray, held_out: np.ndarray) -> State:
        """Return the same as `fit`; `held_out` gives the errors of the members."""
        members = int(features[0, 0])
        mean = known_mean(features[:, 1:]).reshape(members, -1)
        smallest = np.maximum(MIN_SCALE_FRACTION * mean.mean(1, keepdims=True), TINY)
        state = {"mean": np.maximum(mean, smallest)}
        errors = self._errors(held_out.astype(np.float64), state)
        if self.aggregation == "standardized":
            floor = np.maximum(FLOOR_FRACTION * np.median(errors, 0), TINY)
            logs = np.log(errors + floor)
            state |= {"floor": floor, "center": logs.mean(0), "sd": np.maximum(logs.std(0), 1e-6)}
        if self.aggregation == "rank":
            spaced = np.linspace(0, len(errors) - 1, min(len(errors), MAX_RANKED)).round()
            state["normal"] = np.maximum(np.sort(errors, 0)[spaced.astype(int)], TINY)
        return state

    def score_function(self, state: dict[str, Array]) -> ScoreFunction:
        """Return the function from losses to the aggregated score."""

        def score(features: Array) -> Array:
            errors = self._errors(features, state)
            if self.aggregation == "standardized":
                xp: Any = torch if isinstance(errors, Tensor) else np
                logs = xp.log(errors + state["floor"])
                return softplus(((logs - state["center"]) / state["sd"]).mean(1))
            return (_ranks(errors, state["normal"]) if "normal" in state else errors).mean(1)

        return score

    def _errors(self, features: Array, state: dict[str, Array]) -> Array:
        """Return the errors of the members, (N, members), from the output of `extract`."""
        xp: Any = torch if isinstance(features, Tensor) else np
        mean = state["mean"]
        losses = features[:, 1:].reshape(-1, *mean.shape)
        losses = xp.where(xp.isnan(losses), mean, losses)
        return (losses / mean).mean(2) if self.standardize else losses[:, :, 0]


def _losses(network: EnsembleNetwork, x: Tensor, logits: Tensor) -> Tensor:
    """Return the losses of a member, (N, F), or by step, (N, W, C), from its outputs, (N, *S)."""
    if network.heads:
        return network.heads.losses(x, logits)
    return (network.output(logits) - x).square().flatten(1)


def _ranks(errors: Array, normal: Array) -> Array:
    """Return the ranks of errors, (N, members), among the sorted `normal` ones, (n, members).

    A rank is the share of lower ones, and half of the share of equal ones.
    """
    xp: Any = torch if isinstance(errors, Tensor) else np
    highest = normal[-1]
    if isinstance(errors, Tensor):  # ONNX has no binary search
        below = (normal < errors[:, None]).double().mean(1)
        ranks = 0.5 * (below + (normal <= errors[:, None]).double().mean(1))
    else:
        pairs = list(zip(normal.T, errors.T, strict=True))
        sides = [[np.searchsorted(a, e, side) for a, e in pairs] for side in ("left", "right")]
        ranks = np.sum(sides, 0).T / (2 * len(normal))
    beyond = 1 + xp.log(errors.clip(min=TINY) / highest)
    return xp.where(errors > highest, beyond, ranks)
