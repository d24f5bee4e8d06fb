"""Analysis `restoration`: PSNR and SSIM of a network and of classical methods."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch

from hourglass.data.prepared_data import Prepared
from hourglass.detection.inference import map_batch
from hourglass.evaluation import figures
from hourglass.networks import Network
from hourglass.studies.latent_space import LatentSpace
from hourglass.studies.restoration.classical import METHODS
from hourglass.studies.restoration.quality import psnr, ssim
from hourglass.studies.restoration.tasks import TASKS, Problem, Task, clean_images, tasks_for
from hourglass.studies.results import StudyResult

MAX_TEST_IMAGES = 200
MAX_VALIDATION_IMAGES = 20  # on which the settings of a method are selected
DRAWN_IMAGES = 10  # per task


def analyse_restoration(space: LatentSpace, classical: pd.DataFrame) -> StudyResult:
    """Restore corrupted test images for every task, including corruptions unseen in training.

    The table has PSNR (dB) and SSIM of the network and of `classical` methods per task and level.
    The metrics are those of the network at one level per task; an infinite PSNR is omitted.
    """
    table = network_table(space.network, space.prepared, space.seed)
    shown = table[table.level == table.task.map({task.name: task.shown_level for task in TASKS})]
    shown = shown.set_index(shown.task.replace("gaussian", "noise_0.5"))
    metrics = {
        f"{quality}_{name}": float(value)
        for quality in ("PSNR", "SSIM")
        for name, value in shown[quality].dropna().items()
    }
    combined = pd.concat([classical, table], ignore_index=True)
    noise = combined[combined.task == "gaussian"]
    return StudyResult(
        metrics,
        {"restoration": combined},
        {
            "denoising": figures.restoration(noise, ["network"]),
            "restored": figures.sheet(_strips(space)),
        },
    )


def _strips(space: LatentSpace) -> list[figures.Strip]:
    """Return DRAWN_IMAGES images per task: clean, corrupted and restored."""
    clean = clean_images(space.prepared, "test", DRAWN_IMAGES)
    strips = []
    for task in tasks_for(space.prepared.sample_shape):
        problem = task.problem(clean, task.shown_level, space.seed)
        output = restore_problem(space.network, problem)
        images = {"clean": [*clean], "input": [*problem.corrupted], "output": [*output]}
        strips.append(figures.Strip(task.title, images))
    return strips


def classical_table(prepared: Prepared, seed: int) -> pd.DataFrame:
    """Return PSNR and SSIM of classical methods, one row per task, level and method.

    PSNR is in dB; it is empty if infinite. The test images are normal and evenly spaced in their
    split. They are corrupted by the same random draws as for networks.
    """
    rows = [
        quality_row(problem, name, restored)
        for task in tasks_for(prepared.sample_shape)
        for level in task.levels
        for problem, name, restored in restore_classically(prepared, task, level, seed)
    ]
    return pd.DataFrame(rows)


def network_table(network: Network, prepared: Prepared, seed: int) -> pd.DataFrame:
    """Return a table like `classical_table`, for the method "network".

    Unlike classical methods, a network does not know the noise level or the missing pixels.
    """
    clean = clean_images(prepared, "test", MAX_TEST_IMAGES)
    problems = (
        task.problem(clean, level, seed)
        for task in tasks_for(prepared.sample_shape)
        for level in task.levels
    )
    return pd.DataFrame(
        [quality_row(problem, "network", restore_problem(network, problem)) for problem in problems]
    )


def restore_classically(
    prepared: Prepared, task: Task, level: float, seed: int
) -> Iterator[tuple[Problem, str, np.ndarray]]:
    """Yield the test problem, a method's name and its restored images (N, C, H, W), per method.

    The settings of a method maximise the PSNR on validation images. These are corrupted by other
    random draws than the test images.
    """
    test_images = clean_images(prepared, "test", MAX_TEST_IMAGES)
    validation_images = clean_images(prepared, "validation", MAX_VALIDATION_IMAGES)
    test = task.problem(test_images, level, seed)
    validation = task.problem(validation_images, level, seed + 1)
    for method in METHODS:
        if task.name in method.tasks:
            yield test, method.name, method.restore(test, **method.select_settings(validation))


def restore_problem(network: Network, problem: Problem) -> np.ndarray:
    """Return the network's reconstruction of corrupted images: (N, C, H, W) float32."""
    return map_batch(network, torch.from_numpy(problem.corrupted), lambda view: view.output)[0]


def quality_row(problem: Problem, method: str, restored: np.ndarray) -> dict[str, object]:
    """Return one row of the tables, for restored images (N, C, H, W)."""
    decibels = psnr(problem.clean, restored)
    return {
        "task": problem.task,
        "level": problem.level,
        "method": method,
        "PSNR": decibels if np.isfinite(decibels) else None,
        "SSIM": ssim(problem.clean, restored),
    }
