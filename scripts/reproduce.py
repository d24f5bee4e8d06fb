"""Reproduce the figures of papers and tutorials on real data; writes reports/reproduction.md.

    python scripts/reproduce.py                    # needs HOURGLASS_DATA; hours on two cores
    python scripts/reproduce.py --quick            # ten minutes: a tenth of the epochs, one seed
    python scripts/reproduce.py --only vae --seeds 0 1 2

Works in build/reproduction and resumes there: results are saved per row and seed, and a training
that was killed resumes after its last epoch.
"""

import hashlib
import inspect
import json
import statistics
from pathlib import Path
from typing import Any

from common import ROOT, argument_parser, enter, prepare_missing, timed, update_yaml, write_page
from papers import ROWS, Row, Run

from hourglass.core.atomic import write_json

INTRODUCTION = """\
Made by `python scripts/reproduce.py`. All values are of the official test images. `target` is the
published value or the aim of this project, `ours` the mean over seeds, `range` the range over
seeds. `reached` is `aim` if `ours` is at least as good as the target, `floor` if it is at least as
good as the minimum in brackets, else `no`.
"""
FRACTIONS = {"train": 0.9, "validation": 0.08, "calibration": 0.01, "tuning": 0.01, "test": 0.0}


def main() -> None:
    """Measure the missing rows and write the page."""
    parser = argument_parser(__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", choices=[row.name for row in ROWS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    arguments = parser.parse_args()
    name = "reproduction-quick" if arguments.quick else "reproduction"
    enter(ROOT / "build" / name)
    for data in ("mnist", "fashion_mnist"):
        update_yaml(f"configs/data/{data}.yaml", {"init_args": {"fractions": FRACTIONS}})
        prepare_missing(data)
    for row in ROWS:
        for seed in arguments.seeds if row.name in (arguments.only or [row.name]) else []:
            _measure(row, Run(seed, 0.1 if arguments.quick else 1.0))
    write_page(ROOT / "reports" / f"{name}.md", _page(arguments.quick))


def _measure(row: Row, run: Run) -> None:
    """Measure one row with one seed, unless its result is saved."""
    path = _path(row, str(run.seed))
    if path.exists():
        return
    print(f"{row.name}, seed {run.seed}", flush=True)
    value, duration = timed(row.measure, run)
    write_json(path, {"value": value, "seconds": duration})
    print(f"{row.name}, seed {run.seed}: {value:.4f} {row.unit}", flush=True)


def _path(row: Row, seed: str) -> Path:
    """Return the path of a result; its name contains a digest of the code that measures it."""
    code = [Path(inspect.getfile(each)) for each in (row.measure, Row)]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in code)).hexdigest()
    return Path("results", f"{row.name}-{seed}-{digest[:8]}.json")


def _page(quick: bool) -> str:
    text = f"# Reproduction\n\n{INTRODUCTION}"
    if quick:
        text += "\nWith `--quick`: a tenth of the epochs, so do not quote these values.\n"
    head = ["result", "source", "target", "ours", "range", "seeds", "reached", "minutes", "command"]
    lines = [_line(head), _line(["---"] * len(head))]
    for row in ROWS:
        paths = sorted(Path().glob(str(_path(row, "[0-9]*"))))
        if paths:
            seeds = " ".join(path.stem.split("-")[1] for path in paths)
            results = [json.loads(path.read_text()) for path in paths]
            lines.append(_line(_cells(row, seeds, results)))
    return f"{text}\n" + "\n".join(lines) + "\n"


def _cells(row: Row, seeds: str, results: list[dict[str, Any]]) -> list[str]:
    values = [each["value"] for each in results]
    ours = statistics.mean(values)
    reached = ours <= row.floor if row.lower else ours >= row.floor
    aimed = ours <= row.theirs if row.lower else ours >= row.theirs
    minutes = sum(each["seconds"] for each in results) / 60
    return [
        row.what,
        row.source,
        f"{row.theirs:g} {row.unit}",
        f"{ours:.4g} {row.unit}",
        f"{min(values):.4g} to {max(values):.4g}",
        seeds,
        "aim" if aimed else f"floor ({row.floor:g})" if reached else f"no (floor {row.floor:g})",
        f"{minutes:.0f}",
        f"`python scripts/reproduce.py --only {row.name} --seeds {seeds}`",
    ]


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
