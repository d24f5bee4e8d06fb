"""Compare image restoration with classical methods; writes docs/benchmarks/restoration.md.

    python scripts/restoration.py        # after scripts/results.py, on its cells

Trains one cell per task in build/restoration and resumes there: 15 minutes on one core. Delete that
folder to train again.
"""

from typing import Any

import numpy as np
import pandas as pd
from common import (
    ROOT,
    argument_parser,
    enter,
    prepare_missing,
    update_yaml,
    write_page,
    write_variant,
)
from tqdm import tqdm

from hourglass.core.paths import Cell, prepared_folder
from hourglass.data.prepared_data import Prepared
from hourglass.evaluation import figures
from hourglass.networks.weights import load
from hourglass.stages.train import train
from hourglass.studies.restoration import analysis
from hourglass.studies.restoration.quality import psnr
from hourglass.studies.restoration.tasks import TASKS, clean_images

RESULTS, WORKSPACE = ROOT / "build" / "results", ROOT / "build" / "restoration"
SEED, SHOWN_IMAGES, NOISE_LEVEL = 0, 8, 0.5
CLASS_PATH = "hourglass.models.convolutional_denoising.ConvolutionalDenoising"
NETWORK = {"projection": False, "stem": 16, "channels": [16, 32], "loss": "bce"}
# A hole is wider than the receptive field of that network: it needs a code of the whole image.
BLOCK_NETWORK = {"projection": True, "latent_dim": 128}
TRAINING_LEVELS = {"gaussian": 0.5, "masking": 0.5, "block": 0.5, "downsampling": 2.0, "grey": 1.0}
DATA = {
    "mnist": ("gaussian", "masking", "block", "downsampling"),
    "fashion_mnist": ("gaussian", "block", "downsampling"),
    "photographs": ("gaussian", "masking", "block", "downsampling", "grey"),
}
SHORT_TRAINING = {"batch_size": 64, "max_epochs": 3, "patience": 3}  # for 48,000 images
DENOISING_MODELS = ("denoising", "convolutional_denoising", "overcomplete", "stacked")
INTRODUCTION = """# Restoring images

Made by `python scripts/restoration.py` (seed 0) from the cells of `scripts/results.py` and one cell
`restore_<task>` per task: `convolutional_denoising` without `projection`, with `stem: 16`,
`channels: [16, 32]` and `loss: bce`, trained on that corruption only; for `block` with `projection`
and `latent_dim: 128`. `mnist` and `fashion_mnist` are trained for three epochs.

All methods restore the same corrupted images, made from up to 200 normal test images. PSNR is in dB
(peak 1) over all images, SSIM is the mean, both after clipping to [0, 1]. Classical methods know
the noise level and the missing pixels, and their settings are chosen on validation images. Networks
get no such information, except in rows marked "missing pixels known": there they fill in the
missing pixels only. `input` is the corrupted image.
"""


def main() -> None:
    """Train missing cells, measure, and write the page and its images."""
    argument_parser(__doc__).parse_args()
    _workspace()
    text = INTRODUCTION
    for data, tasks in DATA.items():
        for task in tasks:
            if not Cell(data, f"restore_{task}").output("train").exists():
                print(f"train {data} restore_{task}", flush=True)
                train(data, f"restore_{task}")
        text += _section(data, tasks)
    write_page(ROOT / "docs/benchmarks/restoration.md", text)


def _workspace() -> None:
    enter(WORKSPACE)
    for task in TASKS:
        corruption = task.corruption(TRAINING_LEVELS[task.name])
        init_args: dict[str, Any] = NETWORK | {"noise_factor": 0.0}
        init_args |= BLOCK_NETWORK if task.name == "block" else {}
        init_args |= {task.setting: getattr(corruption, task.setting)}
        write_variant(f"restore_{task.name}", CLASS_PATH, init_args)
    for data in DATA:
        folder, existing = prepared_folder(data), RESULTS / prepared_folder(data)
        if existing.exists():
            update_yaml(f"configs/data/{data}.yaml", {"training": SHORT_TRAINING})
            folder.parent.mkdir(parents=True, exist_ok=True)
            if not folder.exists():
                folder.symlink_to(existing)
        prepare_missing(data)


def _section(data: str, tasks: tuple[str, ...]) -> str:
    """Return the section of a data set, and draw its figures."""
    prepared = Prepared.open(prepared_folder(data))
    classical = analysis.classical_table(prepared, SEED)
    cells = sorted(path.parent for path in (RESULTS / "runs" / data).glob("*/train"))
    cells = [cell for cell in cells if not cell.name.startswith("linear_")]
    cells += [Cell(data, f"restore_{task}").folder for task in tasks]
    found = {}
    for cell in tqdm(cells, data):
        table = analysis.network_table(load(cell / "train"), prepared, SEED)
        found[cell.name] = table.assign(method=f"`{cell.name}`")
    for task in {"masking", "block"}.intersection(tasks):
        filled = _fill_missing(data, prepared, task)
        found[f"restore_{task}"] = pd.concat([found[f"restore_{task}"], filled])
    text = f"\n## {data}\n\n{_noise(classical, found)}\n\n"
    text += f"![PSNR and SSIM over the noise factor](images/restoration-{data}.png)\n\n"
    text += f"{_tasks(classical, found, tasks)}\n\n"
    text += (
        f"![Clean, corrupted, without and with a network](images/restoration-{data}-images.png)\n"
    )
    _curves(data, classical, found)
    _images(data, prepared, tasks)
    return text


def _fill_missing(data: str, prepared: Prepared, name: str) -> pd.DataFrame:
    """Return the rows of a network that replaces the missing pixels only."""
    network = load(Cell(data, f"restore_{name}").output("train"))
    clean = clean_images(prepared, "test", analysis.MAX_TEST_IMAGES)
    (task,) = (task for task in TASKS if task.name == name)
    rows = []
    for level in task.levels:
        problem = task.problem(clean, level, SEED)
        filled = np.where(
            problem.missing, analysis.restore_problem(network, problem), problem.corrupted
        )
        method = f"`restore_{name}`, missing pixels known"
        rows.append(analysis.quality_row(problem, method, filled))
    return pd.DataFrame(rows)


def _noise(classical: pd.DataFrame, found: dict[str, pd.DataFrame]) -> str:
    """Return the table of all variants and methods at NOISE_LEVEL, the best first."""
    # Networks for other tasks were not trained on noise.
    denoising = [
        table
        for name, table in found.items()
        if name == "restore_gaussian" or not name.startswith("restore_")
    ]
    table = pd.concat([classical, *denoising])
    rows = table[(table.task == "gaussian") & (table.level == NOISE_LEVEL)]
    rows = rows.sort_values("PSNR", ascending=False)[["method", "PSNR", "SSIM"]]
    reached = rows.set_index("method").PSNR
    best = reached[reached.index.str.startswith("`")]
    summary = f"Noise of standard deviation {NOISE_LEVEL}: the best network is {best.idxmax()}, "
    summary += f"{best.max() - reached['non-local means']:+.2f} dB against non-local means"
    if "`convolutional_denoising`" in best and best.idxmax() != "`convolutional_denoising`":
        gain = best["`convolutional_denoising`"] - reached["non-local means"]
        summary += f" (`convolutional_denoising` of the default grid: {gain:+.2f} dB)"
    return f"{summary}.\n\n{rows.to_markdown(index=False, floatfmt=('', '.2f', '.3f'))}"


def _tasks(classical: pd.DataFrame, found: dict[str, pd.DataFrame], tasks: tuple[str, ...]) -> str:
    """Return the table of the other tasks per level: input, classical method, network."""
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
    names = [name for name in ("restore_gaussian", *DENOISING_MODELS) if name in found]
    table = pd.concat([classical, *(found[name] for name in names)])
    table = table[table.task == "gaussian"].assign(method=lambda t: t.method.str.strip("`"))
    networks = [name for name in found if name in table.method.unique()]
    picture = figures.restoration(table, networks)
    figures.save(picture, ROOT / "docs/benchmarks/images" / f"restoration-{data}.png")


def _images(data: str, prepared: Prepared, tasks: tuple[str, ...]) -> None:
    strips = []
    for task in (task for task in TASKS if task.name in tasks):
        level = TRAINING_LEVELS[task.name]
        done = list(analysis.restore_classically(prepared, task, level, SEED))
        problem = done[0][0]
        name, best = max(
            ((name, x) for _, name, x in done), key=lambda pair: psnr(problem.clean, pair[1])
        )
        network = analysis.restore_problem(
            load(Cell(data, f"restore_{task.name}").output("train")), problem
        )
        rows = {"clean": problem.clean, "corrupted": problem.corrupted}
        rows |= {name: best} if name != "input" else {}
        chosen = np.linspace(0, len(problem.clean) - 1, SHOWN_IMAGES).round().astype(int)
        pictures = {key: list(x[chosen]) for key, x in (rows | {"network": network}).items()}
        strips.append(figures.Strip(f"{task.name} {level:g}", pictures))
    path = ROOT / "docs/benchmarks/images" / f"restoration-{data}-images.png"
    figures.save(figures.sheet(strips), path)


if __name__ == "__main__":
    main()
