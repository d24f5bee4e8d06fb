"""A detector as one traceable torch module, from unscaled samples to alarms.

The scorers in `detection.scorers` compute with NumPy in double precision. This module repeats
their arithmetic on double-precision tensors, because the ONNX exporter can trace only torch. A
shared torch implementation would change the last bits of the scores: NumPy and torch sum in
different orders.
"""

from collections.abc import Callable
from functools import singledispatch
from typing import TypeAlias

import torch
from torch import Tensor, nn

from hourglass.core.errors import UserError
from hourglass.data.batches import Scaled
from hourglass.detection.detector import Detector
from hourglass.detection.scorers import (
    Combined,
    Mahalanobis,
    ModelScore,
    Neighbors,
    RaPP,
    RelativeError,
    Scorer,
    StandardizedError,
    State,
)
from hourglass.detection.scorers.combined import part_state
from hourglass.detection.scorers.forward_cache import ForwardCache
from hourglass.networks.variational import Variational

Score: TypeAlias = Callable[[ForwardCache], Tensor]  # forward pass of (N, *S) -> (N,) float64


class Traced(nn.Module):
    """Map unscaled samples, (N, *S), to the score, alarm and reconstruction of a detector.

    The score is (N,) float64, the alarm (N,) bool, the reconstruction (N, *S) float32 in the units
    of the samples.
    """

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        scoring = detector.scoring
        self.network = scoring.network.cpu()
        if isinstance(self.network, Variational):  # export its random draws as constants
            draws = self.network._draws(
                self.network.samples, torch.zeros(1, self.network.latent_dim)
            )
            self.network._draws = lambda samples, like: draws  # type: ignore[method-assign]
        self.scaled = Scaled(scoring.scaling, torch.device("cpu"))
        self.score = traced(scoring.scorer, scoring.state)
        self.threshold = detector.threshold.value

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return score, alarm and reconstruction of unscaled samples, (N, *S)."""
        cache = ForwardCache(self.network, self.scaled(x))
        score = self.score(cache)
        reconstruction = cache.output * self.scaled.scale + self.scaled.offset
        return score, score > self.threshold, reconstruction


@singledispatch
def traced(scorer: Scorer, state: State) -> Score:
    """Return a scorer's score as a traceable function of tensors.

    Raises a UserError if no implementation is registered for the scorer.
    """
    raise UserError(
        f"the score {scorer.name!r} cannot be exported to ONNX; calibrate with another `score` in "
        "params.yaml, such as hourglass.detection.scorers.ModelScore."
    )


@traced.register
def _(scorer: ModelScore, state: State) -> Score:
    return lambda cache: cache.score.double()


@traced.register
def _(scorer: StandardizedError, state: State) -> Score:
    mean = torch.tensor(state["mean"])
    return lambda cache: (scorer.extract(cache).double() / mean).mean(1)


@traced.register
def _(scorer: Mahalanobis, state: State) -> Score:
    mean, precision = (torch.tensor(state[key]).double() for key in ("mean", "precision"))

    def score(cache: ForwardCache) -> Tensor:
        centred = scorer.extract(cache).double() - mean
        return ((centred @ precision) * centred).sum(1).clamp(min=0).sqrt()

    return score


@traced.register
def _(scorer: Neighbors, state: State) -> Score:
    reference = torch.tensor(state["codes"]).double()
    squares = reference.square().sum(1)

    def score(cache: ForwardCache) -> Tensor:
        codes = scorer.extract(cache).double()
        squared = codes.square().sum(1, keepdim=True) - 2 * codes @ reference.T + squares
        nearest = squared.topk(scorer.k, dim=1, largest=False).values
        return nearest.clamp(min=0).sqrt().mean(1)

    return score


@traced.register
def _(scorer: RaPP, state: State) -> Score:
    if not scorer.whiten:
        return lambda cache: scorer.extract(cache).double().square().sum(1)
    mean, whitening = (torch.tensor(state[key]).double() for key in ("mean", "whitening"))
    return lambda cache: ((scorer.extract(cache).double() - mean) @ whitening).square().sum(1)


@traced.register
def _(scorer: RelativeError, state: State) -> Score:
    weights, faint = 1 / torch.tensor(state["scale"]), float(state["faint"][0])

    def score(cache: ForwardCache) -> Tensor:
        features = scorer.extract(cache).double()
        return (features[:, :-1] * weights).sum(1) / (features[:, -1] + faint)

    return score


@traced.register
def _(scorer: Combined, state: State) -> Score:
    parts = [traced(part, part_state(state, i)) for i, part in enumerate(scorer.parts)]
    floor, mean, sd = (torch.tensor(state[key]).double() for key in ("floor", "mean", "sd"))

    def score(cache: ForwardCache) -> Tensor:
        scores = torch.stack([part(cache) for part in parts], 1)
        logs = (scores.clamp(min=0) + floor).log()
        standard = ((logs - mean) / sd).mean(1)
        # This is softplus, log(1 + exp(.)); onnxruntime lacks Softplus in double precision.
        return standard.clamp(min=0) + (1 + (-standard.abs()).exp()).log()

    return score
