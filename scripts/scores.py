"""Measure which score tells anomalies best: writes docs/scores.md.

    python scripts/scores.py                   # after scripts/results.py, whose cells it takes

Every scorer learns from the training split of a cell that is trained already; its AUROC and average
precision are those of the test split. Nothing was chosen by them.
"""

from pathlib import Path

import pandas as pd
from tqdm import tqdm

from hourglass.data.prepared import Prepared
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

ROOT = Path(__file__).parents[1]
WORKSPACE = ROOT / "build" / "results"
SCORERS: dict[str, Scorer] = {
    "own": ModelScore(),
    "standardized error": StandardizedError(),
    "Mahalanobis": Mahalanobis(),
    "neighbors": Neighbors(5),
    "RaPP": RaPP(),
    "RaPP, whitened": RaPP(whiten=True),
    "relative error": RelativeError(),
    "own + neighbors": Combined([ModelScore(), Neighbors(5)]),
    "RaPP + neighbors": Combined([RaPP(), Neighbors(5)]),
}
# Anomalies that look like normal samples: letters I among digits 1.
WITHOUT = {"emnist": {"emnist without I": "I"}}
INTRODUCTION = """# Which score wins where

Made by `python scripts/scores.py` from the cells of `scripts/results.py`: AUROC on the test split
(seed 0). `own` is the reconstruction error. The scorers are those of `hourglass.detection.scorers`; one is
set as `score` in params.yaml. The best of each row is in bold.
"""


def main() -> None:
    """Measure and write the page."""
    text = INTRODUCTION
    for folder in sorted((WORKSPACE / "runs").iterdir()):
        prepared = Prepared.open(WORKSPACE / "data/prepared" / folder.name)
        cells = sorted(path.parent for path in folder.glob("*/metrics.json"))
        cells = [cell for cell in cells if not cell.name.startswith("linear_")]
        rows = {cell.name: _row(cell, prepared) for cell in tqdm(cells, folder.name)}
        for title, left_out in {folder.name: None, **WITHOUT.get(folder.name, {})}.items():
            table = pd.DataFrame({cell: found[left_out] for cell, found in rows.items()}).T
            text += f"\n## {title}\n\n{_summary(table)}\n\n{_markdown(table)}\n"
    (ROOT / "docs" / "scores.md").write_text(text, encoding="utf-8")
    print(text)


def _row(cell: Path, prepared: Prepared) -> dict[str | None, dict[str, float]]:
    """Return the AUROC of every scorer, with all labels (None) and with one of them left out."""
    network, train, test = load(cell), prepared.split("train").x, prepared.split("test")
    table = not is_image(prepared.sample_shape)
    left_out = [None, *WITHOUT.get(cell.parent.name, {}).values()]
    found: dict[str | None, dict[str, float]] = {each: {} for each in left_out}
    for name, scorer in SCORERS.items():
        if table and isinstance(scorer, RelativeError):
            continue
        scores = FittedScorer.fit(network, prepared.scaling, scorer, train)(test.x)
        for label in left_out:
            kept = ~(test.anomaly & (test.label == label))
            detected = metrics.detection(scores[kept], test.anomaly[kept], intervals=False)
            found[label][name] = detected["AUROC"]
    return found


def _summary(table: pd.DataFrame) -> str:
    """Return in a sentence which score is the best on average, and which alone."""
    mean, best = table.mean(), table.max()
    cell = table[best.idxmax()].idxmax()
    return (
        f"On average `{mean.idxmax()}` is the best ({mean.max():.4f}; `own` {mean['own']:.4f}); "
        f"the best detector is `{cell}` by `{best.idxmax()}` ({best.max():.4f})."
    )


def _markdown(table: pd.DataFrame) -> str:
    """Return the table, and the mean of its rows, with the best of each row in bold."""
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
