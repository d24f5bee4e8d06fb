"""What the network restores: corrupted test images, beside filters that are told more than it."""

import pandas as pd

from hourglass.evaluation.figures import Strip, restoration, sheet
from hourglass.studies.latent_codes.latent_space import LatentSpace
from hourglass.studies.restoration.tables import network_table, restored
from hourglass.studies.restoration.tasks import images, tasks_for
from hourglass.studies.results import StudyResult

SHOWN = 10  # images of a task
LEVELS = {"gaussian": 0.5, "masking": 0.5, "block": 0.25, "downsampling": 2.0, "grey": 1.0}
TITLES = {
    "gaussian": "noise of factor 0.5",
    "masking": "half of the pixels set to 0",
    "block": "a block set to 0",
    "downsampling": "half of the pixels a side",
    "grey": "without colours",
}


def restoration_of(space: LatentSpace, classical: pd.DataFrame) -> StudyResult:
    """Have corrupted test images restored, whatever the network was trained to undo.

    The table has PSNR and SSIM of the network and of `classical` methods for each task and level;
    metrics are the network's at one level of each, but for the PSNR of a perfect copy.
    """
    table = network_table(space.network, space.prepared, space.seed)
    shown = table[table.level == table.task.map(LEVELS)]
    names = shown.task.replace("gaussian", "noise_0.5")
    metrics = {
        f"{quality}_{name}": float(value)
        for quality in ("PSNR", "SSIM")
        for name, value in zip(names, shown[quality], strict=True)
        if pd.notna(value)
    }
    whole = pd.concat([classical, table], ignore_index=True)
    noise = whole[whole.task == "gaussian"]
    figures = {"denoising": restoration(noise, ["network"]), "restored": sheet(_strips(space))}
    return StudyResult(metrics, {"restoration": whole}, figures)


def _strips(space: LatentSpace) -> list[Strip]:
    """Return for each task some images as they are, corrupted, and restored."""
    clean = images(space.prepared, "test", SHOWN)
    strips = []
    for task in tasks_for(space.prepared.sample_shape):
        problem = task.problem(clean, LEVELS[task.name], space.seed)
        rows = {"clean": clean, "input": problem.seen, "output": restored(space.network, problem)}
        strips.append(Strip(TITLES[task.name], {name: list(each) for name, each in rows.items()}))
    return strips
