"""Say by measurement what each variant is best at: writes docs/which_variant.md and pictures.

    python scripts/which_variant.py            # after scripts/results.py, whose tables it takes

Takes the leaderboard and the studies of the cells of `scripts/results.py`: all variants of the
default grid on all large data sets, one seed.
"""

import shutil
from pathlib import Path
from typing import NamedTuple

import pandas as pd

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "build/results"
PICTURES = {  # of the README, and the figures of studies that they are
    "study-map": "runs/mnist/variational/study/figures/map.png",
    "study-generated": "runs/mnist/variational/study/figures/generated.png",
}


class Measure(NamedTuple):
    """Name a column, what it is for, and whether less of it is better."""

    column: str
    purpose: str
    less: bool = False

    def best(self, values: pd.Series) -> str:
        """Return the name of the best value."""
        return str(values.idxmin() if self.less else values.idxmax())


MEASURES = [
    Measure("AUROC", "finding anomalies (AUROC)"),
    Measure("reconstruction_error_normal", "reconstruction (mean squared error)", less=True),
    Measure("kNN_accuracy", "features: nearest neighbours (accuracy)"),
    Measure("linear_accuracy", "features: a linear classifier (accuracy)"),
    Measure("search_precision_at_10", "search (precision at 10)"),
    Measure("PSNR_noise_0.5", "removing noise of factor 0.5 (PSNR, dB)"),
    Measure("frechet_distance", "generation (Fréchet distance)", less=True),
    Measure("class_agreement", "generation by class (class agreement)"),
    Measure("interpolation_between_classes", "interpolation (halfway between classes)"),
    Measure("neighbourhood_radius", "moving about in the code (neighbourhood radius)"),
]
PAIRS = [("denoising", "contractive"), ("undercomplete", "overcomplete"), ("linear", "pca")]
INTRODUCTION = """# Which variant?

Made by `python scripts/which_variant.py` from the cells of `scripts/results.py`: one seed, settings
of `configs/`, everything on the test split. What the columns mean stands at the end of
`reports/index.html`. Code sizes differ where that makes the variant (`sparse`, `contractive`: 128
units; `overcomplete`: 1.5 times the input); all others of a data set share one.
"""
RANKS = """The rank among the variants (1 is the best), averaged over the data sets where it was
measured; the three lowest of each column in bold.
"""


def main() -> None:
    """Write the page."""
    table = measured()
    text = f"{INTRODUCTION}\n## What is best at what\n\n{_winners(table)}\n"
    text += f"\n## What each variant is best at\n\n{RANKS}\n{_ranks(table)}\n"
    for first, second in PAIRS:
        text += f"\n## `{first}` against `{second}`\n\n{_against(table, first, second)}\n"
    for data in table.index.get_level_values("data").unique():
        text += f"\n## {data}\n\n{_whole(table.loc[data])}\n"
    (ROOT / "docs/which_variant.md").write_text(text, encoding="utf-8")
    for name, figure in PICTURES.items():
        shutil.copy(RESULTS / figure, ROOT / f"docs/images/{name}.png")
    print(text)


def measured() -> pd.DataFrame:
    """Return every measure of every variant, and of PCA with the size that most variants have."""
    reports = RESULTS / "reports"
    board, codes = (pd.read_csv(reports / f"{name}.csv") for name in ("leaderboard", "codes"))
    board = board[~board.model.str.startswith("linear_")]
    size = board[board.model == "undercomplete"].set_index("data").latent_dim
    own = (board.model == "pca") & (board.latent_dim == board.data.map(size))
    codes_own = (codes.model == "pca") & (codes.latent_dim == codes.data.map(size))
    board, codes = board[~board.baseline | own], codes[~codes.baseline.astype(bool) | codes_own]
    keys = ["data", "model"]
    both = board.columns.intersection(codes.columns).difference(keys)
    found = board.set_index(keys).join(codes.drop(columns=both).set_index(keys))
    return found.reindex(columns=["latent_dim", *(each.column for each in MEASURES)])


def _winners(table: pd.DataFrame) -> str:
    """Return a table: the best variant for each purpose on each data set, and its value."""
    rows = []
    for measure in MEASURES:
        row = {"for": measure.purpose}
        for data, values in table[measure.column].groupby(level="data"):
            values = values.droplevel("data").drop("pca", errors="ignore").dropna()
            if len(values):
                best = measure.best(values)
                row[str(data)] = f"`{best}` {values[best]:.4g}"
        rows.append(row)
    return str(pd.DataFrame(rows).fillna("").to_markdown(index=False))


def _ranks(table: pd.DataFrame) -> str:
    """Return the mean rank of every variant in every measure, the three lowest in bold."""
    own = table.drop("pca", level="model", errors="ignore")
    columns = {}
    for measure in MEASURES:
        values = own[measure.column].dropna()
        ranks = values.groupby(level="data").rank(ascending=measure.less)
        mean = ranks.groupby(level="model").mean().sort_values(kind="stable")
        shown = mean.map("{:.1f}".format)
        shown.iloc[:3] = "**" + shown.iloc[:3] + "**"
        columns[measure.column] = shown
    listed = pd.DataFrame(columns).reindex(own.index.unique("model").sort_values()).fillna("")
    return str(listed.to_markdown(disable_numparse=True))


def _against(table: pd.DataFrame, first: str, second: str) -> str:
    """Return both values of every measure on every data set, the better one in bold."""
    rows, wins = [], {first: 0, second: 0}
    for measure in MEASURES:
        row = {"for": measure.purpose}
        for data, values in table[measure.column].groupby(level="data"):
            pair = values.droplevel("data").reindex([first, second]).dropna()
            if len(pair) == 2:
                best = measure.best(pair) if pair.nunique() == 2 else "neither"
                wins[best] = wins.get(best, 0) + 1
                row[str(data)] = " / ".join(
                    f"**{value:.4g}**" if name == best else f"{value:.4g}"
                    for name, value in pair.items()
                )
        if len(row) > 1:
            rows.append(row)
    said = f"`{first}` is the better one in {wins[first]}, `{second}` in {wins[second]}"
    listed = pd.DataFrame(rows).fillna("").to_markdown(index=False)
    return f"{said} of {sum(wins.values())} comparisons.\n\n{listed}"


def _whole(table: pd.DataFrame) -> str:
    """Return all values of one data set, the best of each column in bold."""
    shown = table.dropna(axis=1, how="all").sort_values("AUROC", ascending=False)
    text = shown.map(lambda value: "" if value != value else f"{value:.4g}")
    for measure in MEASURES:
        if measure.column in shown:
            best = measure.best(shown[measure.column].drop("pca", errors="ignore"))
            bold = text.index == best
            text.loc[bold, measure.column] = "**" + text.loc[bold, measure.column] + "**"
    return str(text.to_markdown(disable_numparse=True))


if __name__ == "__main__":
    main()
