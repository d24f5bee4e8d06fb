"""Measure the time from a file to ranked samples with `hourglass try`.

    OMP_WAIT_POLICY=passive python scripts/try_times.py > docs/benchmarks/try_times.md

`table` has 100,000 rows of 30 features, `images` are 300 pictures of 64 x 64 RGB in two folders;
5 % of the samples are labelled anomalies. Each command starts its own process, without caches of
earlier ones. Wall-clock time depends on the load of the machine; CPU time, that of all cores,
much less, if idle threads leave the cores to other processes (`OMP_WAIT_POLICY`).
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from common import argument_parser
from PIL import Image

ROWS, FEATURES, FACTORS, IMAGES, SIDE = 100_000, 30, 5, 300, 64
ANOMALY_SHARE = 0.05
COMMANDS = {
    "table": ["try table.csv --label state --normal ok"],
    "images": ["try images", "score images feature ../images"],
}
PAGE = """# Time of the first results

Made by `python scripts/try_times.py`: from a file to the page and ranked samples, each command in a
new process. `table` has {rows:,} rows of {features} features, `images` are {images} pictures of
{side} x {side} RGB; 5 % of both are labelled anomalies. CPU time is that of all cores. The load is
the number of processes that wanted a core at the start; if it is high, wall-clock time is longer
than on an idle machine with {cores} cores.

{table}
"""


def main() -> None:
    """Print the page."""
    argument_parser(__doc__).parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, rng = Path(name), np.random.default_rng(0)
        write_table(folder / "table.csv", rng)
        write_images(folder / "images", rng)
        rows = [row for data in COMMANDS for row in measured(data, folder)]
    sizes = {"rows": ROWS, "features": FEATURES, "images": IMAGES, "side": SIDE}
    table = pd.DataFrame(rows).to_markdown(index=False)
    print(PAGE.format(**sizes, cores=os.cpu_count(), table=table), end="")


def write_table(path: Path, rng: np.random.Generator) -> None:
    """Write rows of correlated features; those of anomalies are shuffled one by one."""
    x = rng.normal(size=(ROWS, FACTORS)) @ rng.normal(size=(FACTORS, FEATURES))
    x += 0.3 * rng.normal(size=x.shape)
    count = round(ANOMALY_SHARE * ROWS)
    x[:count] = rng.permuted(x[:count], axis=0)
    frame = pd.DataFrame(x, columns=[f"x{i}" for i in range(FEATURES)])
    frame["state"] = np.where(np.arange(ROWS) < count, "worn", "ok")
    frame.to_csv(path, index=False)


def write_images(folder: Path, rng: np.random.Generator) -> None:
    """Write noisy colour gradients; anomalies have a bright square."""
    ramp = np.linspace(0, 150, SIDE)[None, :, None] * np.ones((SIDE, 1, 3))
    for name in ("good", "scratch"):
        (folder / name).mkdir(parents=True)
    for number in range(IMAGES):
        image = ramp * rng.uniform(0.5, 1, 3) + rng.uniform(0, 30, ramp.shape)
        anomalous = number < ANOMALY_SHARE * IMAGES
        if anomalous:
            top, left = rng.integers(0, SIDE - 12, 2)
            image[top : top + 12, left : left + 12] += 80
        file = folder / ("scratch" if anomalous else "good") / f"{number:03}.png"
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(file)


def measured(data: str, folder: Path) -> list[dict[str, str]]:
    """Run the commands of a data set; return a row for each."""
    rows = []
    for command in COMMANDS[data]:
        place = folder if command.startswith("try") else folder / f"hourglass-{data}"
        load, wall, cpu = os.getloadavg()[0], time.perf_counter(), cpu_seconds()
        subprocess.run(
            [sys.executable, "-m", "hourglass", *command.split()],
            cwd=place, check=True, stdout=sys.stderr,
        )  # fmt: skip
        row = {"data": data, "command": f"`hourglass {command}`"}
        row |= {"wall clock (s)": f"{time.perf_counter() - wall:.0f}"}
        row |= {"CPU (s)": f"{cpu_seconds() - cpu:.0f}", "load": f"{load:.0f}"}
        print(row, file=sys.stderr)
        rows.append(row)
    return rows


def cpu_seconds() -> float:
    """Return the CPU seconds of all ended child processes."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
