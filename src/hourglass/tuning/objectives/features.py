"""How much of a sample's class its code keeps."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from hourglass.core.errors import UserError
from hourglass.tuning.objectives.base import Objective, Task

if TYPE_CHECKING:
    from hourglass.networks import Network


class Features(Objective):
    """Maximise the accuracy of `k` nearest neighbours in the code.

    Codes of the training split, with their labels, classify those of the tuning split's normal
    samples: how good the code is as a feature, without training anything on it.
    """

    names = ("tuning_kNN_accuracy",)

    def __init__(self, k: int = 7) -> None:
        if k < 1:
            raise UserError(f"k is {k}, but must be at least 1.")
        self.k = k

    def check(self, task: Task, searched: Iterable[str]) -> None:
        """Raise a UserError where the normal samples are of one class only, or fewer than k."""
        labels = task.prepared.split("train").label
        if len(np.unique(labels)) < 2:
            raise UserError(
                f"all normal samples of {task.prepared.card['data']} are of one class; features "
                "need two, so choose another `--objective`."
            )
        if len(labels) < self.k:
            raise UserError(
                f"k is {self.k}, but the training split has {len(labels)} samples only."
            )

    def __call__(self, network: "Network", task: Task) -> tuple[float, ...]:
        """Return the share of the tuning split's normal samples whose class the code gives."""
        from sklearn.neighbors import KNeighborsClassifier

        from hourglass.detection.scoring import latent_codes

        train, tuning = (task.prepared.split(name) for name in ("train", "tuning"))
        own = ~tuning.anomaly
        scaling = task.prepared.scaling
        known = KNeighborsClassifier(self.k).fit(
            latent_codes(network, train.x, scaling), train.label
        )
        found = known.score(latent_codes(network, tuning.x[own], scaling), tuning.label[own])
        return (float(found),)
