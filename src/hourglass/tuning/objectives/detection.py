"""Objectives for anomaly detection, with labelled or synthetic anomalies."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from hourglass.core.errors import UserError
from hourglass.core.suggestions import counted
from hourglass.data.scaling import TiledScaling
from hourglass.data.series_encoding import SeriesEncoding
from hourglass.data.tiling import Tiles
from hourglass.tuning.objectives.base import Objective, Task

if TYPE_CHECKING:
    from hourglass.data.scaling import Encoding
    from hourglass.detection.scoring import FittedScorer
    from hourglass.networks import Network

AnomalyKind: TypeAlias = Literal["mixed", "permuted", "corrupted", "perlin", "cut_paste", "scar"]
DEFECT_KINDS = ("perlin", "cut_paste", "scar")  # of images only, see models.synthetic_defects
DEFECT_BATCH = 64  # images in memory as float32
MAX_TILE_BYTES = 256 << 20  # of tiles of large images, scaled
GRID = 4  # patches per side of an image that are permuted
MIN_NORMAL_SAMPLES = 20  # of the tuning split, for synthetic anomalies


class Detection(Objective):
    """Maximise the AUROC, or the average precision, of the score on the tuning split.

    The scorer is `score` in params.yaml, fitted to the training split as in `calibrate-threshold`.
    The tuning split holds normal samples and labelled anomalies; average precision depends on their
    proportion.
    """

    def __init__(self, metric: Literal["AUROC", "average_precision"] = "AUROC") -> None:
        self.metric = metric
        self.names = (f"tuning_{metric}",)

    def check(self, task: Task, searched: Iterable[str]) -> None:
        """Raise a UserError if the tuning split holds no anomalies."""
        card = task.prepared.card
        if not card["splits"]["tuning"]["anomalies"]:
            raise UserError(
                f"the tuning split of {card['data']} holds no anomalies to detect; "
                f"`--objective {unlabelled_objective(task.prepared.sample_shape)}` creates some "
                "from normal samples."
            )

    def __call__(self, network: "Network", task: Task) -> tuple[float, ...]:
        """Return the metric on the tuning split."""
        from hourglass.evaluation import metrics

        tuning = task.prepared.split("tuning")
        scores = _fit_scorer(network, task)(tuning.x)
        return (metrics.detection(scores, tuning.anomaly, intervals=False)[self.metric],)


class SyntheticDetection(Objective):
    """Maximise the mean AUROC against synthetic anomalies; no labels are needed.

    The anomalies are created from the normal samples of the tuning split, with the same random
    draws for all trials. `strength`, above 0 and at most 1, controls the change of a sample:

    - "mixed" replaces this share of its elements by those of one other sample; in an image, a
      rectangle (as in CutMix, Yun et al. 2019).
    - "permuted" replaces this share of a row's features by values from several other rows, or
      permutes this share of an image's patches.
    - "corrupted" adds Gaussian noise of `strength` standard deviations of the scaled samples.
    - "perlin", "cut_paste" and "scar" are defects of images, see `models.synthetic_defects`;
      `strength` does not apply.
    """

    names = ("synthetic_AUROC",)

    def __init__(
        self,
        kinds: Sequence[AnomalyKind] = ("mixed", "permuted", "corrupted"),
        strength: float = 0.5,
    ) -> None:
        if not kinds:
            raise UserError("kinds is empty; name at least one kind of synthetic anomalies.")
        if not 0 < strength <= 1:
            raise UserError(f"strength is {strength}, but must be above 0 and at most 1.")
        self.kinds = kinds
        self.strength = strength
        # Cached by kind, as a process has a single task.
        self._anomalies: dict[AnomalyKind, np.ndarray] = {}

    def check(self, task: Task, searched: Iterable[str]) -> None:
        """Raise a UserError if the tuning split has too few normal samples, or no images."""
        if len(shape := task.prepared.sample_shape) != 3:
            for kind in self.kinds:
                if kind in DEFECT_KINDS:
                    raise UserError(
                        f"kinds names {kind}, but samples of shape {tuple(shape)} are not images; "
                        "choose `--objective synthetic`."
                    )
        count = task.prepared.card["splits"]["tuning"]["normal"]
        if count < MIN_NORMAL_SAMPLES:
            raise UserError(
                f"the tuning split of {task.prepared.card['data']} has "
                f"{counted(count, 'normal sample')}, but synthetic anomalies need "
                f"{MIN_NORMAL_SAMPLES}; raise its share in `fractions`."
            )

    def __call__(self, network: "Network", task: Task) -> tuple[float, ...]:
        """Return the mean AUROC over the kinds; of large images, that of their tiles."""
        tuning, scaling = task.prepared.split("tuning"), task.prepared.scaling
        normal = np.asarray(tuning.x[~tuning.anomaly])
        if isinstance(scaling, TiledScaling):
            normal = Tiles(normal, scaling.tiling).spaced(MAX_TILE_BYTES)[:]
        return (self.auroc(_fit_scorer(network, task), normal, scaling),)

    def auroc(self, score: "FittedScorer", normal: np.ndarray, scaling: "Encoding") -> float:
        """Return the mean AUROC over the kinds, of normal samples, (N, *S), against anomalies."""
        from hourglass.evaluation import metrics

        normal_scores, values = score(normal), []
        for kind in self.kinds:
            if kind not in self._anomalies:
                self._anomalies[kind] = self.anomalies(kind, normal, scaling)
            scores = np.concatenate([normal_scores, score(self._anomalies[kind])])
            anomaly = np.arange(len(scores)) >= len(normal_scores)
            values.append(metrics.detection(scores, anomaly, intervals=False)["AUROC"])
        return float(np.mean(values))

    def anomalies(self, kind: AnomalyKind, x: np.ndarray, scaling: "Encoding") -> np.ndarray:
        """Create one anomaly per unscaled sample: (N, *S) -> (N, *S).

        `scaling` maps samples to network inputs. A category is seldom changed by noise. Of a
        series, the channels of every row are changed, but not its time and its entity.
        """
        if isinstance(scaling, SeriesEncoding):
            channels = self._changed(kind, scaling.features(x), x, scaling)
            return np.hstack([x[:, : len(scaling.roles)], channels])
        return self._changed(kind, x, x, scaling)

    def _changed(
        self, kind: AnomalyKind, x: np.ndarray, samples: np.ndarray, scaling: "Encoding"
    ) -> np.ndarray:
        """Return changed samples, or channels of a series; `samples` are what `scaling` takes."""
        rng = np.random.default_rng(0)
        if kind in DEFECT_KINDS:
            changed = scaling.inverse(_with_defects(kind, scaling(samples)))
        elif kind == "mixed":
            masks = _random_masks(rng, x.shape, self.strength)
            others = (np.arange(len(x)) + rng.integers(1, len(x), len(x))) % len(x)
            changed = np.where(masks, x[others], x)
        elif kind == "corrupted":
            inputs = scaling(samples)
            noise = self.strength * np.nanstd(inputs) * rng.standard_normal(inputs.shape)
            changed = scaling.inverse(inputs + noise)
        elif x.ndim == 2:
            shuffled = rng.permuted(x, axis=0)
            changed = np.where(rng.random(x.shape) < self.strength, shuffled, x)
        else:
            changed = np.stack([_permute_patches(rng, image, self.strength) for image in x])
        if x.dtype.kind == "u":
            changed = np.clip(np.rint(changed), 0, np.iinfo(x.dtype).max)
        return changed.astype(x.dtype)


def unlabelled_objective(sample_shape: Sequence[int]) -> str:
    """Return the name of the objective for data without labelled anomalies."""
    return "synthetic_defects" if len(sample_shape) == 3 else "synthetic"


def _fit_scorer(network: "Network", task: Task) -> "FittedScorer":
    from hourglass.detection.scoring import FITTED_SPLITS, FittedScorer

    prepared = task.prepared
    splits = map(prepared.x, FITTED_SPLITS)
    return FittedScorer.fit(network, prepared.scaling, task.scorer, *splits)


def _with_defects(kind: AnomalyKind, images: np.ndarray) -> np.ndarray:
    """Return images with one defect each, (N, C, H, W), pixels in [0, 1]."""
    import torch

    from hourglass.models.synthetic_defects import with_defects

    generator = torch.Generator().manual_seed(0)
    batches = torch.from_numpy(images).split(DEFECT_BATCH)
    kinds: Any = [kind]
    return torch.cat([with_defects(x, generator, kinds)[0] for x in batches]).numpy()


def _random_masks(rng: np.random.Generator, shape: tuple[int, ...], share: float) -> np.ndarray:
    """Return masks of random features per row, or of one random rectangle per image."""
    if len(shape) == 2:
        return rng.random(shape) < share
    rows, columns = (np.arange(size) for size in shape[2:])
    height, width = (max(1, round(size * share**0.5)) for size in shape[2:])
    top = rng.integers(0, len(rows) - height + 1, (shape[0], 1))
    left = rng.integers(0, len(columns) - width + 1, (shape[0], 1))
    within = (rows >= top) & (rows < top + height), (columns >= left) & (columns < left + width)
    return (within[0][:, :, None] & within[1][:, None, :])[:, None]


def _permute_patches(rng: np.random.Generator, image: np.ndarray, share: float) -> np.ndarray:
    """Return an image (C, H, W), cut into GRID x GRID patches, with a share of them permuted."""
    rows, columns = (np.linspace(0, size, GRID + 1).astype(int)[:-1] for size in image.shape[1:])
    height, width = (size // GRID for size in image.shape[1:])
    corners = [(top, left) for top in rows for left in columns]
    moved = rng.choice(len(corners), max(2, round(share * len(corners))), replace=False)
    permuted = image.copy()
    for target, source in zip(moved, np.roll(moved, 1), strict=True):
        (top, left), (from_top, from_left) = corners[target], corners[source]
        patch = image[:, from_top : from_top + height, from_left : from_left + width]
        permuted[:, top : top + height, left : left + width] = patch
    return permuted
