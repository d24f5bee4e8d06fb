"""Show what the search is worth, on test splits that it never read: writes docs/tuning.md.

    python scripts/tuning.py gain       # tuned against default, five seeds; two hours on two cores
    python scripts/tuning.py surface    # test AUROC over bottleneck and noise; a quarter of an hour

Both need HOURGLASS_DATA, work in build/tuning, a workspace of its own, and go on where they were
stopped. Parts of the page are written by the one that measures them.
"""

import argparse
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
from matplotlib.figure import Figure
from tqdm import tqdm

from hourglass.core.paths import Cell, prepared_folder
from hourglass.data.datamodule import DataModule
from hourglass.data.prepared import Prepared
from hourglass.detection.scorers import ModelScore
from hourglass.detection.scoring import FittedScorer
from hourglass.evaluation import figures, metrics
from hourglass.stages.prepare import prepare
from hourglass.training.cell_settings import resolve_cell
from hourglass.training.trainer import fit_resumable, make_module, make_trainer
from hourglass.tuning.objectives import (
    Denoising,
    Detection,
    ReconstructionError,
    SyntheticDetection,
    Task,
)

ROOT = Path(__file__).parents[1]
PAGE, PICTURE = ROOT / "docs/tuning.md", ROOT / "docs/images/tuning.png"
RESULTS = Path("results.jsonl")
MODEL, TRIALS, SEEDS = "denoising", 40, range(5)
GAIN = ("credit_card", "emnist")
SIZES = {"digits": (2, 4, 8, 16, 32, 64), "credit_card": (1, 2, 4, 8, 16, 24)}
NOISES, SURFACE_SEEDS = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6), range(3)
OBJECTIVES = (Detection(), SyntheticDetection(), Denoising(), ReconstructionError())


def main() -> None:
    """Measure one part and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["gain", "surface"])
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # before a worker imports torch
    _workspace({*GAIN} if arguments.part == "gain" else {*SIZES})
    if arguments.part == "gain":
        _write("gain", _gain(arguments.jobs))
    else:
        _write("surface", _surface(arguments.jobs))


def _workspace(data: set[str]) -> None:
    folder = ROOT / "build" / "tuning"
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    shutil.rmtree("configs", ignore_errors=True)
    ignored = shutil.ignore_patterns("cell")  # the default is what configs/data and model say
    shutil.copytree(ROOT / "configs", "configs", ignore=ignored)
    shutil.copy(ROOT / "params.yaml", ".")
    for name in sorted(data):
        if not prepared_folder(name).exists():
            prepare(name)


def _gain(jobs: int) -> str:
    """Tune the cells, train default and best with five seeds each, and return the table."""
    best = {data: _tuned(data) for data in GAIN}
    settings = {(data, "default"): {} for data in GAIN} | {
        (data, "tuned"): best[data]["values"] for data in GAIN
    }
    wanted = [(*key, values, seed) for key, values in settings.items() for seed in SEEDS]
    found = measured([(data, values, seed) for data, _, values, seed in wanted], jobs)
    table = pd.DataFrame([(*each[:2], result["AUROC"], result["average_precision"])
                          for each, result in zip(wanted, found, strict=True)],
                         columns=["data", "settings", "AUROC", "average precision"])  # fmt: skip
    rows = []
    for (data, kind), part in table.groupby(["data", "settings"]):
        drawn = ", ".join(f"{key} {value:.3g}" for key, value in settings[data, kind].items())
        cells = [f"{part[name].mean():.4f} ± {part[name].std():.4f}" for name in part.columns[2:]]
        rows.append([data, f"{kind}: {drawn}" if drawn else kind, *cells])
    columns = ["data", f"`{MODEL}`", "test AUROC", "test average precision"]
    return pd.DataFrame(rows, columns=columns).to_markdown(index=False)


def _tuned(data: str) -> dict[str, Any]:
    """Return what the study of a cell found, with one worker, so that it can be repeated."""
    out = Path(f"{data}.json")
    words = ["tune", data, MODEL, "--trials", str(TRIALS), "--no_mlflow", "--out", str(out)]
    command = [sys.executable, str(ROOT / "src/hourglass"), *words]
    subprocess.run(command, check=True)
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return found


def measured(wanted: list[tuple[str, dict[str, Any], int]], jobs: int) -> list[dict[str, float]]:
    """Return the test metrics of trainings (data, settings, seed); known ones are not run again."""
    known = dict(_known())
    missing = [each for each in wanted if json.dumps(each) not in known]
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool, RESULTS.open("a") as file:
        for each, result in zip(
            missing, tqdm(pool.map(measure, missing), total=len(missing)), strict=True
        ):
            known[json.dumps(each)] = result
            file.write(json.dumps([json.dumps(each), result]) + "\n")
            file.flush()
    return [known[json.dumps(each)] for each in wanted]


def _known() -> Iterator[tuple[str, dict[str, float]]]:
    for line in RESULTS.read_text().splitlines() if RESULTS.exists() else ():
        key, result = json.loads(line)
        yield key, result


def measure(wanted: tuple[str, dict[str, Any], int]) -> dict[str, float]:
    """Train one network; return its metrics on the test split, and what the objectives say."""
    data, values, seed = wanted
    prepared = Prepared.open(prepared_folder(data))
    own = resolve_cell(Cell(data, MODEL), prepared.sample_shape)
    settings = replace(own, seed=seed, init_args=own.init_args | values)
    module = make_module(settings)
    with tempfile.TemporaryDirectory() as folder:
        trainer, history = make_trainer(settings, Path(folder), None, watching=())
        fit_resumable(
            trainer, history, module, DataModule(data, settings.training.batch_size, seed)
        )
    network, train, test = module.network.eval(), prepared.split("train"), prepared.split("test")
    scoring = FittedScorer.fit(network, prepared.scaling, ModelScore(), train.x)
    found = metrics.detection(scoring(test.x), test.anomaly, intervals=False)
    task = Task(prepared, ModelScore())
    for objective in OBJECTIVES:
        found |= dict(zip(objective.names, objective(network, task), strict=True))
    return found


def _surface(jobs: int) -> str:
    """Train a grid on each data set, draw the mean test AUROC, and return what follows it."""
    columns = {}
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    for axes, (data, sizes) in zip(figure.subplots(1, 2), SIZES.items(), strict=True):
        wanted = [
            (data, {"latent_dim": size, "noise_factor": noise}, seed)
            for noise in NOISES for size in sizes for seed in SURFACE_SEEDS
        ]  # fmt: skip
        found = (
            pd.DataFrame(measured(wanted, jobs))
            .groupby(np.arange(len(wanted)) // len(SURFACE_SEEDS))
            .mean()
        )
        columns[data] = _follows(found)
        means = found["AUROC"].to_numpy().reshape(len(NOISES), len(sizes))
        image = axes.imshow(means, cmap="viridis", origin="lower", aspect="auto")
        middle = (means.min() + means.max()) / 2
        for (row, column), value in np.ndenumerate(means):
            colour = "black" if value > middle else "white"
            axes.text(column, row, f"{value:.3f}"[1:], ha="center", va="center", color=colour)
        axes.set_xticks(range(len(sizes)), map(str, sizes))
        axes.set_yticks(range(len(NOISES)), map(str, NOISES))
        axes.set(xlabel="latent_dim", ylabel="noise_factor", title=data)
        figure.colorbar(image, ax=axes, label="test AUROC")
    figures.save(figure, PICTURE)
    return pd.DataFrame(columns).rename_axis("objective").to_markdown()


def _follows(found: pd.DataFrame) -> pd.Series:
    """Return what each objective, as it is optimised, has to do with the test AUROC."""
    texts = {}
    for objective in OBJECTIVES:
        sign = 1 if objective.directions == ("maximize",) else -1
        (name,) = objective.names
        rank = sign * found[name].corr(found["AUROC"], method="spearman")
        picked = found["AUROC"].to_numpy()[np.argmax(sign * found[name].to_numpy())]
        texts[f"`{name}`"] = f"{picked:.3f} ({rank:+.2f})"
    texts["the best there is"] = f"{found['AUROC'].max():.3f}"
    return pd.Series(texts)


def _write(part: str, text: str) -> None:
    """Put the text between the part's marks in the page."""
    page = PAGE.read_text(encoding="utf-8")
    head, begin, rest = page.partition(f"<!-- {part} -->\n")
    _, end, tail = rest.partition(f"<!-- end of {part} -->\n")
    PAGE.write_text(f"{head}{begin}{text}\n{end}{tail}", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
