"""How well a network tells normal samples from anomalies that are made of them."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from hourglass.core.errors import UserError
from hourglass.tuning.objectives.base import Objective, Task

if TYPE_CHECKING:
    from hourglass.networks import Network

Kind: TypeAlias = Literal["mixed", "permuted", "corrupted"]
ENOUGH = 20  # normal samples of the tuning split


class SyntheticDetection(Objective):
    """Maximise the mean AUROC against anomalies made of normal samples; it needs no labels.

    Each kind keeps something of the normal samples and breaks the rest, as far as `strength`, from
    0 to 1, goes: "mixed" takes that share of a sample from one other, of an image a rectangle (as
    CutMix does, Yun et al. 2019); "permuted" takes that share of a row's features each from some
    other row, or moves that share of an image's patches about; "corrupted" adds normal noise of
    `strength` standard deviations of the scaled samples. The normal samples are those of the tuning
    split; the draws are always the same.
    """

    names = ("synthetic_AUROC",)

    def __init__(
        self, kinds: Sequence[Kind] = ("mixed", "permuted", "corrupted"), strength: float = 0.5
    ) -> None:
        if not kinds:
            raise UserError(
                "kinds is empty, but at least one kind of synthetic anomalies is needed."
            )
        if not 0 < strength <= 1:
            raise UserError(f"strength is {strength}, but must be above 0 and at most 1.")
        self.kinds = kinds
        self.strength = strength
        self._made: dict[Kind, np.ndarray] = {}  # of the one task that a process has

    def check(self, task: Task, searched: Iterable[str]) -> None:
        """Raise a UserError where the tuning split has too few normal samples."""
        count = task.prepared.card["splits"]["tuning"]["normal"]
        if count < ENOUGH:
            raise UserError(
                f"the tuning split of {task.prepared.card['data']} has {count} normal samples, but "
                f"synthetic anomalies need {ENOUGH}; raise its share in `fractions`."
            )

    def __call__(self, network: "Network", task: Task) -> tuple[float, ...]:
        """Return the mean over the kinds."""
        from hourglass.detection.scoring import FittedScorer
        from hourglass.evaluation import metrics

        prepared = task.prepared
        tuning = prepared.split("tuning")
        normal = np.asarray(tuning.x[~tuning.anomaly])
        train = prepared.split("train").x
        scoring = FittedScorer.fit(network, prepared.scaling, task.scorer, train)
        usual, found = scoring(normal), []
        for kind in self.kinds:
            if kind not in self._made:
                self._made[kind] = self.anomalies(kind, normal, prepared.scaling.scale)
            scores = np.concatenate([usual, scoring(self._made[kind])])
            anomaly = np.arange(len(scores)) >= len(usual)
            found.append(metrics.detection(scores, anomaly, intervals=False)["AUROC"])
        return (float(np.mean(found)),)

    def anomalies(self, kind: Kind, x: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Return as many anomalies of a kind as there are unscaled samples: (N, *S) -> (N, *S).

        `scale` is what one unit of the network's input is in the samples' units.
        """
        rng = np.random.default_rng(0)
        if kind == "mixed":
            made = np.where(_regions(rng, x.shape, self.strength), x[_others(rng, len(x))], x)
        elif kind == "corrupted":
            sd = (x / scale).std()
            made = x + self.strength * sd * scale * rng.standard_normal(x.shape)
        elif x.ndim == 2:
            shuffled = rng.permuted(x, axis=0)
            made = np.where(rng.random(x.shape) < self.strength, shuffled, x)
        else:
            made = np.stack([_patched(rng, each, self.strength) for each in x])
        if x.dtype == np.uint8:
            made = np.clip(np.rint(made), 0, 255)
        return made.astype(x.dtype)


def _regions(rng: np.random.Generator, shape: tuple[int, ...], share: float) -> np.ndarray:
    """Return what each sample takes from another: some features, or a rectangle of an image."""
    if len(shape) == 2:
        return rng.random(shape) < share
    rows, columns = (np.arange(size) for size in shape[2:])
    height, width = (max(1, round(size * share**0.5)) for size in shape[2:])
    top = rng.integers(0, len(rows) - height + 1, (shape[0], 1))
    left = rng.integers(0, len(columns) - width + 1, (shape[0], 1))
    within = (rows >= top) & (rows < top + height), (columns >= left) & (columns < left + width)
    return (within[0][:, :, None] & within[1][:, None, :])[:, None]


def _others(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return for each sample the place of another one."""
    return (np.arange(count) + rng.integers(1, count, count)) % count


def _patched(
    rng: np.random.Generator, image: np.ndarray, share: float, side: int = 4
) -> np.ndarray:
    """Return an image (C, H, W) of side x side patches, a share of which changed their places."""
    rows, columns = (np.linspace(0, size, side + 1).astype(int)[:-1] for size in image.shape[1:])
    height, width = (size // side for size in image.shape[1:])
    places = [(top, left) for top in rows for left in columns]
    moved = rng.choice(len(places), max(2, round(share * len(places))), replace=False)
    made = image.copy()
    for target, source in zip(moved, np.roll(moved, 1), strict=True):
        (top, left), (from_top, from_left) = places[target], places[source]
        patch = image[:, from_top : from_top + height, from_left : from_left + width]
        made[:, top : top + height, left : left + width] = patch
    return made
