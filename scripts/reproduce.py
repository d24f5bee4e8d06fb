"""Reproduce the figures of papers and tutorials on real data: writes reports/reproduction.md.

    python scripts/reproduce.py                    # needs HOURGLASS_DATA; hours on two cores
    python scripts/reproduce.py --quick            # ten minutes: a tenth of the epochs, one seed
    python scripts/reproduce.py --only vae --seeds 0 1 2

Works in build/reproduction and goes on where it was stopped: a result is kept for every row and
seed, and a training that was killed goes on from its last epoch.
"""

import argparse
import hashlib
import inspect
import json
import os
import shutil
import statistics
import time
from pathlib import Path
from typing import Any

import yaml
from reproductions import ROWS, Row, Run

from hourglass.core.atomic import write_json
from hourglass.core.paths import prepared_folder
from hourglass.stages.prepare import prepare

ROOT = Path(__file__).parents[1]
FRACTIONS = {"train": 0.9, "validation": 0.08, "calibration": 0.01, "tuning": 0.01, "test": 0.0}


def main() -> None:
    """Measure what is missing and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", choices=[row.name for row in ROWS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    arguments = parser.parse_args()
    folder = ROOT / "build" / ("reproduction-quick" if arguments.quick else "reproduction")
    _workspace(folder)
    for row in ROWS:
        for seed in arguments.seeds if row.name in (arguments.only or [row.name]) else []:
            _measure(row, Run(seed, 0.1 if arguments.quick else 1.0))
    text = _page(arguments.quick)
    name = "reproduction-quick.md" if arguments.quick else "reproduction.md"
    (ROOT / "reports" / name).write_text(text, encoding="utf-8")
    print(text)


def _workspace(folder: Path) -> None:
    """Make a workspace of its own, with nine tenths of the training images to train on."""
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    shutil.copytree(ROOT / "configs", "configs", dirs_exist_ok=True)
    shutil.copy(ROOT / "params.yaml", ".")
    for data in ("mnist", "fashion_mnist"):
        path = Path("configs/data", f"{data}.yaml")
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        config["init_args"]["fractions"] = FRACTIONS
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        if not prepared_folder(data).exists():
            prepare(data)


def _measure(row: Row, run: Run) -> None:
    """Measure one row with one seed, unless that was done before."""
    path = _path(row, str(run.seed))
    if path.exists():
        return
    print(f"{row.name}, seed {run.seed}", flush=True)
    start = time.perf_counter()
    value = row.measure(run)
    write_json(path, {"value": value, "seconds": time.perf_counter() - start})
    print(f"{row.name}, seed {run.seed}: {value:.4f} {row.unit}", flush=True)


def _path(row: Row, seed: str) -> Path:
    """Return where a result is kept; its name changes with the code that makes it."""
    code = [Path(inspect.getfile(each)) for each in (row.measure, Row)]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in code)).hexdigest()
    return Path("results", f"{row.name}-{seed}-{digest[:8]}.json")


def _page(quick: bool) -> str:
    text = "# Reproduction\n\nMade by `python scripts/reproduce.py`. Ours is the mean over seeds, "
    text += "with its range; every figure is of the official test images.\n"
    if quick:
        text += "\nWith `--quick`: a tenth of the epochs, so these are no figures to quote.\n"
    head = ["what", "source", "theirs", "ours", "range", "seeds", "reached", "minutes", "command"]
    lines = [_line(head), _line(["---"] * len(head))]
    for row in ROWS:
        found = sorted(Path().glob(str(_path(row, "[0-9]*"))))
        if found:
            seeds = " ".join(path.stem.split("-")[1] for path in found)
            results = [json.loads(path.read_text()) for path in found]
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
