"""Stage `compare`: what all cells found -> the leaderboard, with baselines, and the page of it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from hourglass.data.packed import Prepared
from hourglass.files import whole_files, write_text
from hourglass.report.leaderboard import INTRODUCTION, leaderboard, markdown
from hourglass.settings import Params, params
from hourglass.sharing import withheld
from hourglass.tracking.facts import comparison
from hourglass.tracking.recorder import Recorder
from hourglass.verify import locked_as_written
from hourglass.workspace import (
    CODES,
    LEADERBOARD,
    PAGE,
    SHARED_PAGE,
    Cell,
    baselines_file,
    need_baselines,
    prepared_folder,
)

if TYPE_CHECKING:
    import pandas as pd

NEEDED = {  # of a cell's folder, by the stage that writes it
    "evaluate": (
        "metrics.json",
        "scores.parquet",
        "thresholds.csv",
        "by_class.csv",
        "mistakes.csv",
        "roc.csv",
        "precision_recall.csv",
    ),
    "calibrate-threshold": ("detector.json", "threshold.json"),
    "train": ("network.json", "training.json"),
}


def compare() -> Path:
    """Put every cell of the grid into one table, with baselines on the same splits.

    Writes reports/leaderboard.csv and reports/leaderboard.md, best AUROC first within a data set;
    reports/codes.csv, what the codes of the cells that were studied are good for;
    reports/index.html: all of it with every cell's figures, in one file that needs no network; and
    reports/shared/index.html, the same without single rows of tables, which goes to MLflow.
    """
    config = params()
    _need(config)
    if "DVC_STAGE" in os.environ:  # then dvc.lock is of the stages before, and DVC trusts times
        # Of cells outside the grid dvc.lock has entries as well, and their files may be gone.
        cells = [Cell(data, model) for data in config.data for model in config.models]
        locked_as_written([*(cell.folder for cell in cells), *map(baselines_file, config.data)])
    with Recorder() as recorder:
        with whole_files(LEADERBOARD.parent) as folder:
            _write(folder, leaderboard(config), config)
            recorder.ask("row")  # where the store refuses what it is told, nothing is kept
        recorder.tell("report", **comparison())
    return LEADERBOARD


def _need(config: Params) -> None:
    """Raise a Refusal where an earlier stage has not left its files, before any work is done."""
    for data in config.data:
        for model in config.models:
            for stage, files in NEEDED.items():
                for file in files:
                    Cell(data, model).need(file, stage)
        need_baselines(data)


def _write(folder: Path, table: "pd.DataFrame", config: Params) -> None:
    from hourglass.report.codes import codes
    from hourglass.report.page import Page

    found = codes(config.data, config.models)
    table.to_csv(folder / LEADERBOARD.name, index=False, lineterminator="\n")
    found.to_csv(folder / CODES.name, index=False, lineterminator="\n")
    page = folder / LEADERBOARD.with_suffix(".md").name
    write_text(page, f"{INTRODUCTION}{markdown(table)}\n")
    whole = Page.of(table, found, config.data)
    write_text(folder / PAGE.name, whole.render())
    private = [each for each in config.data if withheld(Prepared.open(prepared_folder(each)).card)]
    (folder / SHARED_PAGE.parent.name).mkdir()
    write_text(folder / SHARED_PAGE.parent.name / SHARED_PAGE.name, whole.without(private).render())
