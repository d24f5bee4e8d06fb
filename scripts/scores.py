"""Compare the detection quality of all scorers; writes docs/benchmarks/scores.md.

    python scripts/scores.py                   # after scripts/results.py, on its cells

Every scorer is fitted to the training split of a trained cell and evaluated on the test split. No
choice depends on the test split.
"""

from pathlib import Path

import pandas as pd
from common import ROOT, argument_parser, write_page
from tqdm import tqdm

from hourglass.data.prepared_data import Prepared
from hourglass.detection.scorers import (
    Combined,
    Mahalanobis,
    ModelScore,
    Neighbors,
    RaPP,
    RelativeError,
    Scorer,
    StandardizedError,
)
from hourglass.detection.scoring import FittedScorer
from hourglass.evaluation import metrics
from hourglass.networks import is_image
from hourglass.networks.weights import load

WORKSPACE = ROOT / "build" / "results"
SCORERS: dict[str, Scorer] = {
    "model": ModelScore(),
    "standardized error": StandardizedError(),
    "Mahalanobis": Mahalanobis(),
    "neighbors": Neighbors(5),
    "RaPP": RaPP(),
    "RaPP, whitened": RaPP(whiten=True),
    "relative error": RelativeError(),
    "model + neighbors": Combined([ModelScore(), Neighbors(5)]),
    "RaPP + neighbors": Combined([RaPP(), Neighbors(5)]),
}
# Anomalies that look like normal samples: letters I among digits 1.
EXCLUDED = {"emnist": {"emnist without I": "I"}}
INTRODUCTION = """# Detection quality by score

Made by `python scripts/scores.py` from the cells of `scripts/results.py`: AUROC on the test split
(seed 0). `model` is the model's score, the reconstruction error. All scorers are classes of
`hourglass.detection.scorers`; `score` in params.yaml names one. The best of each row is in bold.
"""


def main() -> None:
    """Evaluate the scorers and write the page."""
    argument_parser(__doc__).parse_args()
    text = INTRODUCTION
    for folder in sorted((WORKSPACE / "runs").iterdir()):
        prepared = Prepared.open(WORKSPACE / "data/prepared" / folder.name)
        cells = sorted(path.parents[1] for path in folder.glob("*/evaluate/metrics.json"))
        cells = [cell for cell in cells if not cell.name.startswith("linear_")]
        rows = {cell.name: _row(cell, prepared) for cell in tqdm(cells, folder.name)}
        for title, excluded in {folder.name: None, **EXCLUDED.get(folder.name, {})}.items():
            table = pd.DataFrame({cell: row[excluded] for cell, row in rows.items()}).T
            text += f"\n## {title}\n\n{_summary(table)}\n\n{_markdown(table)}\n"
    write_page(ROOT / "docs/benchmarks/scores.md", text)


def _row(cell: Path, prepared: Prepared) -> dict[str | None, dict[str, float]]:
    """Return the AUROC of every scorer, with all labels (None) and without each excluded one."""
    network, train = load(cell / "train"), prepared.split("train").x
    test, table = prepared.split("test"), not is_image(prepared.sample_shape)
    excluded = [None, *EXCLUDED.get(cell.parent.name, {}).values()]
    row: dict[str | None, dict[str, float]] = {label: {} for label in excluded}
    for name, scorer in SCORERS.items():
        if table and isinstance(scorer, RelativeError):
            continue
        scores = FittedScorer.fit(network, prepared.scaling, scorer, train)(test.x)
        for label in excluded:
            chosen = ~(test.anomaly & (test.label == label))
            detected = metrics.detection(scores[chosen], test.anomaly[chosen], intervals=False)
            row[label][name] = detected["AUROC"]
    return row


def _summary(table: pd.DataFrame) -> str:
    """Return a sentence that names the best score on average and the best detector."""
    mean, best = table.mean(), table.max()
    cell = table[best.idxmax()].idxmax()
    return (
        f"On average `{mean.idxmax()}` is the best ({mean.max():.4f}; "
        f"`model` {mean['model']:.4f}); the best detector is `{cell}` with `{best.idxmax()}` "
        f"({best.max():.4f})."
    )


def _markdown(table: pd.DataFrame) -> str:
    """Return the table with the mean of its rows, and the best of each row in bold."""
    table = pd.concat([table, table.mean().to_frame("mean").T])
    shown = table.apply(
        lambda row: [f"**{value:.4f}**" if value == row.max() else f"{value:.4f}" for value in row],
        axis=1,
        result_type="expand",
    )
    shown.columns = table.columns
    return str(shown.to_markdown(disable_numparse=True))


if __name__ == "__main__":
    main()
