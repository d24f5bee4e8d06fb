"""Cross-conformal calibration: folds of normal samples for calibration splits that are too small.

The calibration split is one fold. Of the train and validation splits, the others are made. Each
fold is scored by a detector that is trained on the other folds, so all normal samples but those of
`tuning` and `test` give a score, and none is scored by a network that has seen it.

If the folds have the size of the calibration split, each network is trained on as many samples as
the deployed one. An out-of-fold score then has the distribution of a new sample's score, so the
share of them above a fixed threshold is the false-alarm rate on average. The threshold is chosen
from the same scores, which depend on each other, so this is no bound for finite samples. The bound
of CV+, 2 alpha, would need the networks of all folds to score new samples (Vovk 2015; Barber et al.
2021, theorem 4; for detectors Hennhoefer and Preisach 2024).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np

from hourglass.data.copies import find_copies, keep_together
from hourglass.data.prepared_data import Prepared, PreparedInMemory, Samples, Split
from hourglass.data.scaling import Encoding
from hourglass.detection.block_scores import calibration_count, calibration_values, for_data
from hourglass.detection.calibrators import Calibrator, LabelledCalibrator
from hourglass.detection.threshold import Threshold

MAX_FOLDS = 10
ScoreFunction: TypeAlias = Callable[[np.ndarray], np.ndarray]
# Trains a detector on the splits `train` and `validation`; returns the function to its scores.
Refit: TypeAlias = Callable[[Prepared], ScoreFunction]


def fold_count(train: int, validation: int, calibration: int) -> int:
    """Return the number of folds for sizes of splits, with the calibration split as one of them."""
    return min(MAX_FOLDS, 1 + -(-(train + validation) // calibration))


def needs_folds(calibrator: Calibrator, calibration: int) -> bool:
    """Return whether a calibration split of this size is too small for a calibrator.

    The size is a number of samples, of a series of blocks.
    """
    is_labelled = isinstance(calibrator, LabelledCalibrator)
    return not is_labelled and calibration < calibrator.min_samples


def split_needs_folds(calibrator: Calibrator, prepared: Prepared) -> bool:
    """Return whether the calibration split of a data set is too small for a calibrator."""
    encoding = prepared.scaling
    count = calibration_count(encoding, prepared.x("calibration"))
    return needs_folds(for_data(calibrator, encoding), count)


@dataclass
class FoldScores:
    """Scores of normal samples, or values of blocks of a series, from folds.

    They are made at the first call.
    """

    prepared: Prepared
    refit: Refit
    seed: int
    count: int = field(init=False)
    # Samples of the other folds, (n, *S), their encoding and their scores, (n,).
    others: list[tuple[Encoding, np.ndarray, np.ndarray]] | None = None

    def __post_init__(self) -> None:
        names: tuple[Split, ...] = ("train", "validation", "calibration")
        self.count = fold_count(*(len(self.prepared.x(name)) for name in names))

    def __call__(self, calibration: np.ndarray, events: bool = False) -> np.ndarray:
        """Return the values of the calibration split, which are given, and of all other folds.

        They are those of `calibration_values`.
        """
        if self.others is None:
            self.others = [
                (fold.scaling, held_out, self.refit(fold)(held_out))
                for fold, held_out in _other_folds(self.prepared, self.count - 1, self.seed)
            ]
        values = [calibration_values(*each, events) for each in self.others]
        return np.concatenate([calibration, *values])

    def describe(self, threshold: Threshold) -> Threshold:
        """Return a threshold from these scores, with a method and settings that say so."""
        settings = {**threshold.settings, "folds": self.count}
        return replace(threshold, method=f"cross_{threshold.method}", settings=settings)


def _other_folds(
    prepared: Prepared, count: int, seed: int
) -> Iterator[tuple[PreparedInMemory, np.ndarray]]:
    """Yield, per fold, the data set to train on and the samples that are held out.

    The folds are at random, with copies in one fold. If the splits follow time, they are
    consecutive parts, so that neighbours in time are seldom in different folds.
    """
    train, validation, calibration = (
        np.asarray(prepared.x(name)) for name in ("train", "validation", "calibration")
    )
    rest, rng = np.concatenate([train, validation]), np.random.default_rng(seed)
    by_chance = prepared.card.get("split_by") != "time"
    order = rng.permutation(len(rest)) if by_chance else np.arange(len(rest))
    bounds = np.rint(np.arange(1, count) * len(rest) / count).astype(int)
    if by_chance:
        order, bounds = keep_together(order, find_copies(rest), bounds)
    for held_out in np.split(order, bounds):
        if not len(held_out):
            continue
        others = np.concatenate([np.delete(rest, held_out, 0), calibration])
        if by_chance:
            others = rng.permutation(others)
        size = min(len(train), len(others) - 1)
        parts: dict[Split, np.ndarray] = {"train": others[:size], "validation": others[size:]}
        scaling = prepared.scaling.refit(parts["train"])
        card = {**prepared.card, "scaling": scaling.to_dict()}
        samples = {name: Samples.normal(x) for name, x in parts.items()}
        yield PreparedInMemory(prepared.folder, card, samples), rest[held_out]
