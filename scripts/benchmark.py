"""Measure Hourglass beside others, and beside the limit: docs/benchmark.md.

    make benchmark                               # sets up the others first
    python scripts/benchmark.py                  # needs HOURGLASS_DATA; under half an hour
    python scripts/benchmark.py --quick          # some minutes; the page is in build/benchmark-quick

Works in build/benchmark, a workspace of its own. Others that are not installed are left out, and
the page says so. Writes reports/benchmark.md as well, and all measurements beside it as CSV.
"""

import argparse
import os
from pathlib import Path

import pandas as pd
import torch
from benchmarks import datasets, fixed, page, pictures
from benchmarks.cases import matches
from benchmarks.running import measure
from workspace import ROOT, enter

ROUNDS = 5  # of fixed costs


def main() -> None:
    """Measure everything and write page and pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="all of it once, on little data")
    quick = parser.parse_args().quick
    _absolute_data()
    folder = ROOT / "build" / ("benchmark-quick" if quick else "benchmark")
    plan = matches(quick, torch.cuda.is_available())
    enter(folder)
    datasets.make({case.data for each in plan for case in (each.case, each.case.warm_up())})
    table = measure(plan)
    fixed.workspace(folder / "fixed")
    costs = fixed.costs(0 if quick else ROUNDS)
    imports = fixed.imports()
    reports = folder if quick else ROOT / "reports"
    for name, each in (("measurements", table), ("fixed", costs), ("imports", imports)):
        each.to_csv(reports / f"benchmark-{name}.csv", index=False, lineterminator="\n")
    _write(reports, "benchmark", table, costs, imports, quick)
    if not quick:
        _write(ROOT / "docs", "images/benchmark", table, costs, imports, quick)
    print((reports / "benchmark.md").read_text(encoding="utf-8"))


def _absolute_data() -> None:
    """Name the raw data by its absolute path: processes work in folders of their own."""
    given = os.environ.get("HOURGLASS_DATA", str(ROOT / "data/raw"))
    os.environ["HOURGLASS_DATA"] = str(Path(given).absolute())


def _write(
    folder: Path,
    shown: str,
    table: pd.DataFrame,
    costs: pd.DataFrame,
    imports: pd.DataFrame,
    quick: bool,
) -> None:
    """Write the page and, in the folder `shown` below it, its pictures."""
    pictures.draw(folder / shown, table, imports)
    command = "python scripts/benchmark.py" + (" --quick" if quick else "")
    page.write(folder / "benchmark.md", shown, table, costs, imports, command)


if __name__ == "__main__":
    main()
