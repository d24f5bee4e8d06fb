"""Stage `compare`: outputs of all cells and baselines -> leaderboard and HTML report."""

import os
from pathlib import Path

from hourglass.core.atomic import atomic_files, write_text
from hourglass.core.dvc_lock import verify_outputs
from hourglass.core.paths import (
    CODES,
    LEADERBOARD,
    METRICS,
    PAGE,
    PLOTS,
    SHARED_PAGE,
    Cell,
    baselines_file,
    prepared_folder,
    require_baselines,
)
from hourglass.core.row_privacy import rows_are_private
from hourglass.core.settings import params
from hourglass.data.prepared_data import Prepared
from hourglass.evaluation.report.leaderboard import INTRODUCTION, leaderboard, markdown
from hourglass.stages.output import stage_lock
from hourglass.stages.page_tables import tables_digest
from hourglass.tracking.recording import recording
from hourglass.tracking.stage_records import timing


def compare() -> Path:
    """Compare all cells (data set x variant) and the baselines on the same splits.

    Files in reports/: leaderboard.csv and leaderboard.md (the best AUROC first within each data
    set); codes.csv (results of the studies of latent codes); metrics.json and plots/ (for
    `dvc metrics` and `dvc plots`); index.html (an offline page with all results and the figures of
    every cell); shared/index.html (the same page without rows of private tables, for MLflow).

    Examples:
        hourglass compare

    """
    config = params()
    cells = [Cell(data, model) for data in config.data for model in config.models]
    for cell in cells:
        cell.require("train", "calibrate-threshold", "evaluate")
    for data in config.data:
        require_baselines(data)
    if "DVC_STAGE" in os.environ:  # dvc.lock then describes the inputs; DVC checks only times
        # Only cells of the grid: dvc.lock may list other cells with deleted files.
        verify_outputs([*(cell.folder for cell in cells), *map(baselines_file, config.data)])
    from hourglass.evaluation.report.codes import latent_code_table
    from hourglass.evaluation.report.dvc_plots import write_metrics, write_plots
    from hourglass.evaluation.report.page import Page

    with (
        stage_lock("compare"),
        recording("compare"),
        atomic_files(LEADERBOARD.parent) as folder,
    ):
        table, codes = leaderboard(config), latent_code_table(config.data, config.models)
        table.to_csv(folder / LEADERBOARD.name, index=False, lineterminator="\n")
        codes.to_csv(folder / CODES.name, index=False, lineterminator="\n")
        write_text(folder / "leaderboard.md", f"{INTRODUCTION}{markdown(table)}\n")
        write_metrics(folder / METRICS.name, table)
        write_plots(folder / PLOTS.name, config.data, config.models)
        timings = {cell: timing(cell, "train") for cell in cells}
        page = Page.of(table, codes, (config.data, config.models), timings)
        digest = tables_digest(folder)
        write_text(folder / PAGE.name, page.render(digest))
        cards = {data: Prepared.open(prepared_folder(data)).card for data in config.data}
        private = [data for data, card in cards.items() if rows_are_private(card)]
        shared = folder / SHARED_PAGE.parent.name
        shared.mkdir()
        write_text(shared / SHARED_PAGE.name, page.without(private).render(digest))
    return LEADERBOARD
