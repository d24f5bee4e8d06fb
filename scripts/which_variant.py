"""Rank the variants by measure and purpose; writes docs/benchmarks/which_variant.md and figures.

    python scripts/which_variant.py            # after scripts/results.py, on its tables

Reads the leaderboard and the studies of all variants of the default grid on all large data sets.
"""

import shutil
from typing import NamedTuple

import pandas as pd
from common import ROOT, argument_parser, write_page

RESULTS = ROOT / "build/results"
FIGURES = {  # of the README, copied from studies
    "study-map": "runs/mnist/variational/study/figures/map.png",
    "study-generated": "runs/mnist/variational/study/figures/generated.png",
}


class Measure(NamedTuple):
    """A measure: its column, its purpose, and whether smaller values are better."""

    column: str
    purpose: str
    lower_is_better: bool = False

    def best(self, values: pd.Series) -> str:
        """Return the name of the best value."""
        return str(values.idxmin() if self.lower_is_better else values.idxmax())


MEASURES = [
    Measure("AUROC", "finding anomalies (AUROC)"),
    Measure(
        "reconstruction_error_normal", "reconstruction (mean squared error)", lower_is_better=True
    ),
    Measure("kNN_accuracy", "features: nearest neighbours (accuracy)"),
    Measure("linear_accuracy", "features: a linear classifier (accuracy)"),
    Measure("search_precision_at_10", "search (precision at 10)"),
    Measure("PSNR_noise_0.5", "removing noise of factor 0.5 (PSNR, dB)"),
    Measure("frechet_distance", "generation (Fréchet distance)", lower_is_better=True),
    Measure("class_agreement", "generation by class (class agreement)"),
    Measure("interpolation_between_classes", "interpolation (halfway between classes)"),
    Measure("neighbourhood_radius", "robustness of decoding (neighbourhood radius)"),
]
PAIRS = [("denoising", "contractive"), ("undercomplete", "overcomplete"), ("linear", "pca")]
INTRODUCTION = """# Which variant?

Made by `python scripts/which_variant.py` from the cells of `scripts/results.py`: one seed, settings
of `configs/`, all values on the test split. `reports/index.html` explains the columns. The variants
of a data set share one code size, except `sparse` and `contractive` (128 units) and `overcomplete`
(1.5 times the input).
"""
RANKS = """The rank among the variants (1 is the best), averaged over the data sets that
have this measure. The three lowest ranks of each column are in bold.
"""


def main() -> None:
    """Write the page."""
    argument_parser(__doc__).parse_args()
    table = _measures()
    text = f"{INTRODUCTION}\n## The best variant per purpose\n\n{_winners(table)}\n"
    text += f"\n## The rank of each variant\n\n{RANKS}\n{_ranks(table)}\n"
    for first, second in PAIRS:
        text += f"\n## `{first}` against `{second}`\n\n{_against(table, first, second)}\n"
    for data in table.index.get_level_values("data").unique():
        text += f"\n## {data}\n\n{_whole(table.loc[data])}\n"
    write_page(ROOT / "docs/benchmarks/which_variant.md", text)
    for name, figure in FIGURES.items():
        shutil.copy(RESULTS / figure, ROOT / f"docs/images/{name}.png")


def _measures() -> pd.DataFrame:
    """Return every measure of every variant, and of PCA with the size of most variants."""
    reports = RESULTS / "reports"
    board, codes = (pd.read_csv(reports / f"{name}.csv") for name in ("leaderboard", "codes"))
    board = board[~board.model.str.startswith("linear_")]
    size = board[board.model == "undercomplete"].set_index("data").latent_dim
    board, codes = (
        table[
            ~table.baseline.astype(bool)
            | ((table.model == "pca") & (table.latent_dim == table.data.map(size)))
        ]
        for table in (board, codes)
    )
    keys = ["data", "model"]
    both = board.columns.intersection(codes.columns).difference(keys)
    joined = board.set_index(keys).join(codes.drop(columns=both).set_index(keys))
    return joined.reindex(columns=["latent_dim", *(each.column for each in MEASURES)])


def _winners(table: pd.DataFrame) -> str:
    """Return a table of the best variant per purpose and data set, with its value."""
    rows = []
    for measure in MEASURES:
        row = {"purpose": measure.purpose}
        for data, values in table[measure.column].groupby(level="data"):
            values = values.droplevel("data").drop("pca", errors="ignore").dropna()
            if len(values):
                best = measure.best(values)
                row[str(data)] = f"`{best}` {values[best]:.4g}"
        rows.append(row)
    return str(pd.DataFrame(rows).fillna("").to_markdown(index=False))


def _ranks(table: pd.DataFrame) -> str:
    """Return the mean rank of every variant in every measure, the three lowest in bold."""
    variants = table.drop("pca", level="model", errors="ignore")
    columns = {}
    for measure in MEASURES:
        values = variants[measure.column].dropna()
        ranks = values.groupby(level="data").rank(ascending=measure.lower_is_better)
        mean = ranks.groupby(level="model").mean().sort_values(kind="stable")
        shown = mean.map("{:.1f}".format)
        shown.iloc[:3] = "**" + shown.iloc[:3] + "**"
        columns[measure.column] = shown
    listed = pd.DataFrame(columns).reindex(variants.index.unique("model").sort_values()).fillna("")
    return str(listed.to_markdown(disable_numparse=True))


def _against(table: pd.DataFrame, first: str, second: str) -> str:
    """Return both values of every measure on every data set, the better one in bold."""
    rows, wins = [], {first: 0, second: 0}
    for measure in MEASURES:
        row = {"purpose": measure.purpose}
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
    summary = f"`{first}` is better in {wins[first]}, `{second}` in {wins[second]}"
    listed = pd.DataFrame(rows).fillna("").to_markdown(index=False)
    return f"{summary} of {sum(wins.values())} comparisons.\n\n{listed}"


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
