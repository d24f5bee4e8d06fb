"""Measure the gain of tuning on test splits; writes docs/benchmarks/tuning.md.

    python scripts/tuning.py gain       # tuned against default, five seeds; two hours on two cores
    python scripts/tuning.py surface    # test AUROC over bottleneck and noise; 15 minutes

Both need HOURGLASS_DATA, work in build/tuning and resume there. Each writes its part of the page.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import ROOT, argument_parser, enter, prepare_missing, write_page
from matplotlib.figure import Figure
from tqdm import tqdm

from hourglass.core.paths import Cell, prepared_folder
from hourglass.data.datamodule import DataModule
from hourglass.data.prepared_data import Prepared
from hourglass.detection.scorers import ModelScore
from hourglass.detection.scoring import FittedScorer
from hourglass.evaluation import figures, metrics
from hourglass.training.cell_settings import resolve_cell
from hourglass.training.trainer import fit_resumable, make_module, make_trainer
from hourglass.tuning.objectives import (
    Denoising,
    Detection,
    ReconstructionError,
    SyntheticDetection,
    Task,
)

PAGE, FIGURE = ROOT / "docs/benchmarks/tuning.md", ROOT / "docs/benchmarks/images/tuning.png"
RESULTS = Path("results.jsonl")
MODEL, TRIALS, SEEDS = "denoising", 40, range(5)
GAIN = ("credit_card", "emnist")
SIZES = {"digits": (2, 4, 8, 16, 32, 64), "credit_card": (1, 2, 4, 8, 16, 24)}
NOISES, SURFACE_SEEDS = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6), range(3)
OBJECTIVES = (Detection(), SyntheticDetection(), Denoising(), ReconstructionError())


def main() -> None:
    """Measure one part and write it to the page."""
    parser = argument_parser(__doc__)
    parser.add_argument("part", choices=["gain", "surface"])
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before a worker imports torch
    enter(ROOT / "build" / "tuning")
    shutil.rmtree("configs/cell", ignore_errors=True)  # the defaults are those before tuning
    data, measure_part = {"gain": (GAIN, _gain), "surface": (tuple(SIZES), _surface)}[
        arguments.part
    ]
    prepare_missing(*data)
    _write(arguments.part, measure_part(arguments.jobs))


def _gain(jobs: int) -> str:
    """Tune the cells, train default and best settings with five seeds, and return the table."""
    best = {data: _tuned(data) for data in GAIN}
    settings = {(data, "default"): {} for data in GAIN} | {
        (data, "tuned"): best[data]["values"] for data in GAIN
    }
    wanted = [(*key, values, seed) for key, values in settings.items() for seed in SEEDS]
    results = measure_all([(data, values, seed) for data, _, values, seed in wanted], jobs)
    table = pd.DataFrame([(*each[:2], result["AUROC"], result["average_precision"])
                          for each, result in zip(wanted, results, strict=True)],
                         columns=["data", "settings", "AUROC", "average precision"])  # fmt: skip
    rows = []
    for (data, kind), part in table.groupby(["data", "settings"]):
        drawn = ", ".join(f"{key} {value:.3g}" for key, value in settings[data, kind].items())
        cells = [f"{part[name].mean():.4f} ± {part[name].std():.4f}" for name in part.columns[2:]]
        rows.append([data, f"{kind}: {drawn}" if drawn else kind, *cells])
    columns = ["data", f"`{MODEL}`", "test AUROC", "test average precision"]
    return pd.DataFrame(rows, columns=columns).to_markdown(index=False)


def _tuned(data: str) -> dict[str, Any]:
    """Return the result of a cell's study; one worker makes it repeatable."""
    out = Path(f"{data}.json")
    words = ["tune", data, MODEL, "--trials", str(TRIALS), "--no_mlflow", "--out", str(out)]
    command = [sys.executable, str(ROOT / "src/hourglass"), *words]
    subprocess.run(command, check=True)
    result: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return result


def measure_all(wanted: list[tuple[str, dict[str, Any], int]], jobs: int) -> list[dict[str, float]]:
    """Return the test metrics of trainings (data, settings, seed); reuse saved results."""
    saved = dict(_saved())
    missing = [each for each in wanted if json.dumps(each) not in saved]
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool, RESULTS.open("a") as file:
        for each, result in zip(
            missing, tqdm(pool.map(measure, missing), total=len(missing)), strict=True
        ):
            saved[json.dumps(each)] = result
            file.write(json.dumps([json.dumps(each), result]) + "\n")
            file.flush()
    return [saved[json.dumps(each)] for each in wanted]


def _saved() -> Iterator[tuple[str, dict[str, float]]]:
    for line in RESULTS.read_text().splitlines() if RESULTS.exists() else ():
        key, result = json.loads(line)
        yield key, result


def measure(wanted: tuple[str, dict[str, Any], int]) -> dict[str, float]:
    """Train one network; return its test metrics and the values of all objectives."""
    data, values, seed = wanted
    prepared = Prepared.open(prepared_folder(data))
    default = resolve_cell(Cell(data, MODEL), prepared.input_shape, len(prepared.x("train")))
    settings = replace(default, seed=seed, init_args=default.init_args | values)
    module = make_module(settings)
    with tempfile.TemporaryDirectory() as folder:
        trainer, history = make_trainer(settings, Path(folder), None, trial_callbacks=())
        fit_resumable(
            trainer, history, module, DataModule(data, settings.training.batch_size, seed)
        )
    network, train, test = module.network.eval(), prepared.split("train"), prepared.split("test")
    scoring = FittedScorer.fit(network, prepared.scaling, ModelScore(), train.x)
    result = metrics.detection(scoring(test.x), test.anomaly, intervals=False)
    task = Task(prepared, ModelScore())
    for objective in OBJECTIVES:
        result |= dict(zip(objective.names, objective(network, task), strict=True))
    return result


def _surface(jobs: int) -> str:
    """Train a grid per data set, draw the mean test AUROC, and return the objectives' table."""
    columns = {}
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    for axes, (data, sizes) in zip(figure.subplots(1, 2), SIZES.items(), strict=True):
        wanted = [
            (data, {"latent_dim": size, "noise_factor": noise}, seed)
            for noise in NOISES for size in sizes for seed in SURFACE_SEEDS
        ]  # fmt: skip
        groups = np.arange(len(wanted)) // len(SURFACE_SEEDS)
        averages = pd.DataFrame(measure_all(wanted, jobs)).groupby(groups).mean()
        columns[data] = _objectives(averages)
        means = averages["AUROC"].to_numpy().reshape(len(NOISES), len(sizes))
        image = axes.imshow(means, cmap="viridis", origin="lower", aspect="auto")
        middle = (means.min() + means.max()) / 2
        for (row, column), value in np.ndenumerate(means):
            colour = "black" if value > middle else "white"
            axes.text(column, row, f"{value:.3f}"[1:], ha="center", va="center", color=colour)
        axes.set_xticks(range(len(sizes)), map(str, sizes))
        axes.set_yticks(range(len(NOISES)), map(str, NOISES))
        axes.set(xlabel="latent_dim", ylabel="noise_factor", title=data)
        figure.colorbar(image, ax=axes, label="test AUROC")
    figures.save(figure, FIGURE)
    return pd.DataFrame(columns).rename_axis("objective").to_markdown()


def _objectives(table: pd.DataFrame) -> pd.Series:
    """Return the test AUROC that each objective selects, and its rank correlation with AUROC."""
    texts = {}
    for objective in OBJECTIVES:
        sign = 1 if objective.directions == ("maximize",) else -1
        (name,) = objective.names
        rank = sign * table[name].corr(table["AUROC"], method="spearman")
        selected = table["AUROC"].to_numpy()[np.argmax(sign * table[name].to_numpy())]
        texts[f"`{name}`"] = f"{selected:.3f} ({rank:+.2f})"
    texts["best of all settings"] = f"{table['AUROC'].max():.3f}"
    return pd.Series(texts)


def _write(part: str, text: str) -> None:
    """Replace the text between the marks of a part in the page."""
    page = PAGE.read_text(encoding="utf-8")
    head, begin, rest = page.partition(f"<!-- {part} -->\n")
    _, end, tail = rest.partition(f"<!-- end of {part} -->\n")
    write_page(PAGE, f"{head}{begin}{text}\n{end}{tail}")


if __name__ == "__main__":
    main()
