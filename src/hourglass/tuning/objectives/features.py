"""The objective that evaluates latent codes as features of a classifier."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from hourglass.core.errors import UserError
from hourglass.core.suggestions import counted
from hourglass.tuning.objectives.base import Objective, Task

if TYPE_CHECKING:
    from hourglass.networks import Network


class Features(Objective):
    """Maximise the accuracy of a `k`-nearest-neighbour classifier on latent codes.

    The classifier is fitted to codes of the training split and evaluated on codes of the normal
    samples of the tuning split.
    """

    names = ("tuning_kNN_accuracy",)

    def __init__(self, k: int = 7) -> None:
        if k < 1:
            raise UserError(f"k is {k}, but must be at least 1.")
        self.k = k

    def check(self, task: Task, searched: Iterable[str]) -> None:
        """Raise a UserError if the training split has a single class, or fewer than k samples."""
        labels = task.prepared.split("train").label
        if len(np.unique(labels)) < 2:
            raise UserError(
                f"all normal samples of {task.prepared.card['data']} are of one class, but "
                "features need two; choose another `--objective`."
            )
        if len(labels) < self.k:
            raise UserError(
                f"k is {self.k}, but the training split has only {counted(len(labels), 'sample')}."
            )

    def __call__(self, network: "Network", task: Task) -> tuple[float, ...]:
        """Return the accuracy on the normal samples of the tuning split."""
        from sklearn.neighbors import KNeighborsClassifier

        from hourglass.detection.scoring import latent_codes

        train, tuning = (task.prepared.split(name) for name in ("train", "tuning"))
        normal, scaling = ~tuning.anomaly, task.prepared.scaling
        classifier = KNeighborsClassifier(self.k)
        classifier.fit(latent_codes(network, train.x, scaling), train.label)
        codes = latent_codes(network, tuning.x[normal], scaling)
        return (float(classifier.score(codes, tuning.label[normal])),)
