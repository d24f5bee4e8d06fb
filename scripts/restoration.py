"""Measure how well networks restore images, against what is done without: docs/restoration.md.

    python scripts/restoration.py        # after scripts/results.py, whose cells it takes

A cell a task is trained in build/restoration, a workspace of its own: a quarter of an hour on one
core. It goes on where it was stopped; delete that folder to train again.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from tqdm import tqdm
from workspace import ROOT, enter

from hourglass.core.paths import Cell, prepared_folder
from hourglass.data.prepared import Prepared
from hourglass.evaluation import figures
from hourglass.networks.weights import load
from hourglass.stages.prepare import prepare
from hourglass.stages.train import train
from hourglass.studies.restoration import analysis
from hourglass.studies.restoration.quality import psnr
from hourglass.studies.restoration.tasks import TASKS, Task, clean_images

RESULTS, WORKSPACE = ROOT / "build" / "results", ROOT / "build" / "restoration"
SEED, SHOWN, LEVEL = 0, 8, 0.5
KIND = "hourglass.models.convolutional_denoising.ConvolutionalDenoising"
NETWORK = {"projection": False, "stem": 16, "channels": [16, 32], "loss": "bce"}
# A hole is wider than what such a network sees from a pixel: a code of the whole image spans it.
WIDE = {"projection": True, "latent_dim": 128}
TRAINED_AT = {"gaussian": 0.5, "masking": 0.5, "block": 0.5, "downsampling": 2.0, "grey": 1.0}
DATA = {
    "mnist": ("gaussian", "masking", "block", "downsampling"),
    "fashion_mnist": ("gaussian", "block", "downsampling"),
    "photographs": ("gaussian", "masking", "block", "downsampling", "grey"),
}
SHORT = {"batch_size": 64, "max_epochs": 3, "patience": 3}  # where 48,000 images are an epoch
NOISY = ("denoising", "convolutional_denoising", "overcomplete", "stacked")
INTRODUCTION = """# Restoring images

Made by `python scripts/restoration.py` (seed 0) from the cells of `scripts/results.py` and a
`restore_<task>` cell a task: `convolutional_denoising` without `projection`, with `stem: 16`,
`channels: [16, 32]` and `loss: bce`, trained on that one corruption; for `block` with `projection`,
`latent_dim: 128`. `mnist` and `fashion_mnist` are trained for three epochs.

Up to 200 normal test images, the same corrupted ones for all; PSNR in dB (peak 1) over all of them,
SSIM their mean, both after clipping to [0, 1]. The classical methods are told the size of the noise
and which pixels are missing, and their settings are chosen on validation images; networks are told
nothing, but where it says so: then they fill in the missing pixels, and all others stay as they
are. `input` is the corrupted image as it is.
"""


def main() -> None:
    """Train what is missing, measure, and write page and pictures."""
    _workspace()
    text = INTRODUCTION
    for data, tasks in DATA.items():
        for task in tasks:
            if not (Cell(data, f"restore_{task}") / "train/weights.safetensors").exists():
                print(f"train {data} restore_{task}", flush=True)
                train(data, f"restore_{task}")
        text += _section(data, tasks)
    (ROOT / "docs" / "restoration.md").write_text(text, encoding="utf-8")
    print(text)


def _workspace() -> None:
    enter(WORKSPACE)
    for task in TASKS:
        own = {"noise_factor": 0.0} | (WIDE if task.name == "block" else {}) | _setting(task)
        variant = {"class_path": KIND, "init_args": NETWORK | own}
        Path("configs/model", f"restore_{task.name}.yaml").write_text(yaml.safe_dump(variant))
    for data in DATA:
        path, theirs = Path("configs/data", f"{data}.yaml"), RESULTS / prepared_folder(data)
        if theirs.exists():
            path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"training": SHORT}))
            prepared_folder(data).parent.mkdir(parents=True, exist_ok=True)
            if not prepared_folder(data).exists():
                prepared_folder(data).symlink_to(theirs)
        elif not prepared_folder(data).exists():
            prepare(data)


def _setting(task: Task) -> dict[str, Any]:
    value = getattr(task.corruption(TRAINED_AT[task.name]), task.setting)
    return {task.setting: value}


def _section(data: str, tasks: tuple[str, ...]) -> str:
    """Return what is said of a data set, and draw its pictures."""
    prepared = Prepared.open(prepared_folder(data))
    classical = analysis.classical_table(prepared, SEED)
    cells = sorted(path.parent for path in (RESULTS / "runs" / data).glob("*/network.json"))
    cells = [cell for cell in cells if not cell.name.startswith("linear_")]
    cells += [Cell(data, f"restore_{task}").folder for task in tasks]
    found = {}
    for cell in tqdm(cells, data):
        table = analysis.network_table(load(cell), prepared, SEED)
        found[cell.name] = table.assign(method=f"`{cell.name}`")
    for task in {"masking", "block"}.intersection(tasks):
        found[f"restore_{task}"] = pd.concat(
            [found[f"restore_{task}"], _kept(data, prepared, task)]
        )
    text = f"\n## {data}\n\n{_noise(classical, found)}\n\n"
    text += f"![PSNR and SSIM over the noise factor](images/restoration-{data}.png)\n\n"
    text += f"{_tasks(classical, found, tasks)}\n\n"
    text += (
        f"![Clean, corrupted, without and with a network](images/restoration-{data}-images.png)\n"
    )
    _curves(data, classical, found)
    _images(data, prepared, tasks)
    return text


def _kept(data: str, prepared: Prepared, name: str) -> pd.DataFrame:
    """Return the rows of a network where it only fills in the pixels that are missing."""
    network = load(Cell(data, f"restore_{name}").folder)
    clean = clean_images(prepared, "test", analysis.MAX_TEST_IMAGES)
    (task,) = (task for task in TASKS if task.name == name)
    rows = []
    for level in task.levels:
        problem = task.problem(clean, level, SEED)
        filled = np.where(
            problem.missing, analysis.restore_problem(network, problem), problem.corrupted
        )
        rows.append(analysis.quality_row(problem, f"`restore_{name}`, told the missing", filled))
    return pd.DataFrame(rows)


def _noise(classical: pd.DataFrame, found: dict[str, pd.DataFrame]) -> str:
    """Return the table of all variants and methods at LEVEL, the best first."""
    # Networks for another task know nothing of noise.
    asked = [
        each for name, each in found.items() if name in ("restore_gaussian", *_variants(found))
    ]
    table = pd.concat([classical, *asked])
    rows = table[(table.task == "gaussian") & (table.level == LEVEL)]
    rows = rows.sort_values("PSNR", ascending=False)[["method", "PSNR", "SSIM"]]
    reached = rows.set_index("method").PSNR
    best = reached[reached.index.str.startswith("`")]
    said = f"Noise of standard deviation {LEVEL}: the best network is {best.idxmax()}, "
    said += f"{best.max() - reached['non-local means']:+.2f} dB against non-local means"
    if "`convolutional_denoising`" in best and best.idxmax() != "`convolutional_denoising`":
        gain = best["`convolutional_denoising`"] - reached["non-local means"]
        said += f" (`convolutional_denoising` of the default grid: {gain:+.2f} dB)"
    return f"{said}.\n\n{rows.to_markdown(index=False, floatfmt=('', '.2f', '.3f'))}"


def _variants(found: dict[str, pd.DataFrame]) -> list[str]:
    return [name for name in found if not name.startswith("restore_")]


def _tasks(classical: pd.DataFrame, found: dict[str, pd.DataFrame], tasks: tuple[str, ...]) -> str:
    """Return the table of every other task at each level: input, classical method, network."""
    rows = []
    for task in tasks[1:]:
        table = pd.concat([classical, found[f"restore_{task}"]])
        for level, one in table[table.task == task].groupby("level"):
            for each in one.itertuples():
                rows.append((task, level, each.method, each.PSNR, each.SSIM))
    head = ["task", "level", "method", "PSNR", "SSIM"]
    return pd.DataFrame(rows, columns=head).to_markdown(
        index=False, floatfmt=("", "g", "", ".2f", ".3f")
    )


def _curves(data: str, classical: pd.DataFrame, found: dict[str, pd.DataFrame]) -> None:
    asked = [found[name] for name in ("restore_gaussian", *NOISY) if name in found]
    table = pd.concat([classical, *asked])
    table = table[table.task == "gaussian"].assign(method=lambda t: t.method.str.strip("`"))
    networks = [name for name in found if name in table.method.unique()]
    picture = figures.restoration(table, networks)
    figures.save(picture, ROOT / "docs/images" / f"restoration-{data}.png")


def _images(data: str, prepared: Prepared, tasks: tuple[str, ...]) -> None:
    strips = []
    for task in (task for task in TASKS if task.name in tasks):
        level = TRAINED_AT[task.name]
        done = list(analysis.restore_classically(prepared, task, level, SEED))
        problem = done[0][0]
        name, best = max(
            ((name, x) for _, name, x in done), key=lambda pair: psnr(problem.clean, pair[1])
        )
        network = analysis.restore_problem(load(Cell(data, f"restore_{task.name}").folder), problem)
        rows = {"clean": problem.clean, "corrupted": problem.corrupted}
        rows |= {name: best} if name != "input" else {}
        chosen = np.linspace(0, len(problem.clean) - 1, SHOWN).round().astype(int)
        pictures = {key: list(x[chosen]) for key, x in (rows | {"network": network}).items()}
        strips.append(figures.Strip(f"{task.name} {level:g}", pictures))
    path = ROOT / "docs/images" / f"restoration-{data}-images.png"
    figures.save(figures.sheet(strips), path)


if __name__ == "__main__":
    main()
