"""Compare the speed of Hourglass with peers and bare loops; writes docs/benchmarks/benchmark.md.

    make benchmark                               # installs the peers first
    python scripts/benchmark.py                  # needs HOURGLASS_DATA; under half an hour
    python scripts/benchmark.py --quick          # minutes; the page is in build/benchmark-quick
    python scripts/benchmark.py --task score     # measures one task and prints it

Works in build/benchmark. Peers that are not installed are skipped, with a note on the page. Also
writes reports/benchmark.md and all measurements as CSV files.
"""

from pathlib import Path
from typing import get_args

import pandas as pd
import torch
from benchmarks import datasets, fixed, page, pictures
from benchmarks.cases import Task, matches
from benchmarks.ratios import Tables
from benchmarks.running import measure
from common import ROOT, argument_parser, enter

from hourglass.core.atomic import atomic_file

ROUNDS = 4  # of fixed costs
TABLES = ("measurements", "costs")


def main() -> None:
    """Measure everything, or read saved measurements, and write the page."""
    parser = argument_parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer measurements on little data")
    parser.add_argument("--draw", action="store_true", help="use saved measurements")
    parser.add_argument("--task", choices=get_args(Task), help="measure one task and print it")
    arguments = parser.parse_args()
    quick = arguments.quick
    folder = ROOT / "build" / ("benchmark-quick" if quick else "benchmark")
    if arguments.task:
        print(page.measured(_measurements(folder, quick, arguments.task)))
        return
    reports = folder if quick else ROOT / "reports"
    if not arguments.draw:
        _measure(folder, reports, quick)
    tables = Tables(*(_read(reports, name) for name in TABLES))
    _write(reports, "benchmark", tables, quick)
    if not quick:
        _write(ROOT / "docs/benchmarks", "images/benchmark", tables, quick)
    print((reports / "benchmark.md").read_text(encoding="utf-8"))


def _measure(folder: Path, reports: Path, quick: bool) -> None:
    """Take all measurements, and save each table as soon as it is complete."""
    _save(reports, "measurements", _measurements(folder, quick))
    fixed.workspace(folder / "fixed")
    _save(reports, "costs", fixed.costs(0 if quick else ROUNDS))


def _measurements(folder: Path, quick: bool, task: Task | None = None) -> pd.DataFrame:
    """Return the measurements of all tasks, or of one."""
    plan = matches(quick, torch.cuda.is_available())
    plan = [each for each in plan if task in (None, each.case.task)]
    enter(folder)
    datasets.create_missing(
        {case.data for each in plan for case in (each.case, each.case.warm_up())}
    )
    return measure(plan)


def _csv(reports: Path, name: str) -> Path:
    return reports / f"benchmark-{name}.csv"


def _read(reports: Path, name: str) -> pd.DataFrame:
    """Return a saved table; empty text is not a missing number."""
    text = dict.fromkeys(("reason", "network", "importer"), str)
    table = pd.read_csv(_csv(reports, name), dtype=text)
    return table.fillna(dict.fromkeys(text.keys() & {*table.columns}, ""))


def _save(reports: Path, name: str, table: pd.DataFrame) -> None:
    with atomic_file(_csv(reports, name)) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def _write(folder: Path, images: str, tables: Tables, quick: bool) -> None:
    """Write the page, and its figures to the folder `images` below it."""
    pictures.draw(folder / images, tables)
    command = "python scripts/benchmark.py" + (" --quick" if quick else "")
    page.write(folder / "benchmark.md", images, tables, command)


if __name__ == "__main__":
    main()
