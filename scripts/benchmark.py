"""Measure Hourglass beside others, and beside the limit: docs/benchmark.md.

    make benchmark                               # sets up the others first
    python scripts/benchmark.py                  # needs HOURGLASS_DATA; under half an hour
    python scripts/benchmark.py --quick          # minutes; the page is in build/benchmark-quick
    python scripts/benchmark.py --task score     # this alone, printed; the page stays as it is

Works in build/benchmark, a workspace of its own. Others that are not installed are left out, and
the page says so. Writes reports/benchmark.md as well, and all measurements beside it as CSV.
"""

import argparse
from pathlib import Path
from typing import get_args

import pandas as pd
import torch
from benchmarks import datasets, fixed, page, pictures
from benchmarks.cases import Task, matches
from benchmarks.ratios import Tables
from benchmarks.running import measure
from workspace import ROOT, enter

from hourglass.core.atomic import atomic_file

ROUNDS = 4  # of fixed costs
KEPT = ("measurements", "costs", "imports")


def main() -> None:
    """Measure everything, unless it was measured before and is only drawn; write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="most of it once, on little data")
    parser.add_argument("--draw", action="store_true", help="draw what was measured the last time")
    parser.add_argument("--task", choices=get_args(Task), help="measure this alone, and print it")
    arguments = parser.parse_args()
    quick = arguments.quick
    folder = ROOT / "build" / ("benchmark-quick" if quick else "benchmark")
    if arguments.task:
        print(page.measured(_measurements(folder, quick, arguments.task)))
        return
    reports = folder if quick else ROOT / "reports"
    if not arguments.draw:
        _measure(folder, reports, quick)
    tables = Tables(*(_read(reports, name) for name in KEPT))
    _write(reports, "benchmark", tables, quick)
    if not quick:
        _write(ROOT / "docs", "images/benchmark", tables, quick)
    print((reports / "benchmark.md").read_text(encoding="utf-8"))


def _measure(folder: Path, reports: Path, quick: bool) -> None:
    """Take all measurements and keep each table as soon as it is there."""
    _keep(reports, "measurements", _measurements(folder, quick))
    fixed.workspace(folder / "fixed")
    _keep(reports, "costs", fixed.costs(0 if quick else ROUNDS))
    _keep(reports, "imports", fixed.imports())


def _measurements(folder: Path, quick: bool, task: Task | None = None) -> pd.DataFrame:
    """Return the measurements of all tasks, or of one."""
    plan = matches(quick, torch.cuda.is_available())
    plan = [each for each in plan if task in (None, each.case.task)]
    enter(folder)
    datasets.make({case.data for each in plan for case in (each.case, each.case.warm_up())})
    return measure(plan)


def _kept(reports: Path, name: str) -> Path:
    return reports / f"benchmark-{name}.csv"


def _read(reports: Path, name: str) -> pd.DataFrame:
    """Return a table that was kept; text that is empty is no missing number."""
    text = dict.fromkeys(("reason", "network", "importer"), str)
    table = pd.read_csv(_kept(reports, name), dtype=text)
    return table.fillna(dict.fromkeys(text.keys() & {*table.columns}, ""))


def _keep(reports: Path, name: str, table: pd.DataFrame) -> None:
    with atomic_file(_kept(reports, name)) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def _write(folder: Path, shown: str, tables: Tables, quick: bool) -> None:
    """Write the page and, in the folder `shown` below it, its pictures."""
    pictures.draw(folder / shown, tables)
    command = "python scripts/benchmark.py" + (" --quick" if quick else "")
    page.write(folder / "benchmark.md", shown, tables, command)


if __name__ == "__main__":
    main()
