"""How well a network tells labelled anomalies from normal samples."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from hourglass.core.errors import UserError
from hourglass.tuning.objectives.base import Objective, Task

if TYPE_CHECKING:
    from hourglass.networks import Network


class Detection(Objective):
    """Maximise the AUROC, or the average precision, of the score on the tuning split.

    The score is that of `score` in params.yaml, fitted to the training split as in
    `calibrate-threshold`. The tuning split holds normal samples and labelled anomalies; average
    precision depends on its prevalence.
    """

    def __init__(self, metric: Literal["AUROC", "average_precision"] = "AUROC") -> None:
        self.metric = metric
        self.names = (f"tuning_{metric}",)

    def check(self, task: Task, searched: Iterable[str]) -> None:
        """Raise a UserError where the tuning split holds no anomalies."""
        card = task.prepared.card
        if not card["splits"]["tuning"]["anomalies"]:
            raise UserError(
                f"the tuning split of {card['data']} holds no anomalies to detect; "
                "`--objective synthetic` makes some of normal samples."
            )

    def __call__(self, network: "Network", task: Task) -> tuple[float, ...]:
        """Return the metric on the tuning split."""
        from hourglass.detection.scoring import FittedScorer
        from hourglass.evaluation import metrics

        tuning, normal = task.prepared.split("tuning"), task.prepared.split("train").x
        scoring = FittedScorer.fit(network, task.prepared.scaling, task.scorer, normal)
        found = metrics.detection(scoring(tuning.x), tuning.anomaly, intervals=False)
        return (found[self.metric],)
