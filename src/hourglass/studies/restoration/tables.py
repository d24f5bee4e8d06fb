"""Who restores how well: tidy tables of PSNR and SSIM."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch

from hourglass.data.prepared import Prepared
from hourglass.detection.inference import map_batch
from hourglass.networks import Network
from hourglass.studies.restoration.classical import METHODS
from hourglass.studies.restoration.quality import psnr, ssim
from hourglass.studies.restoration.tasks import Problem, Task, images, tasks_for

MOST = 200  # test images that are restored
CHOOSING = 20  # validation images that the settings of a method are chosen on
COLUMNS = ["task", "level", "method", "PSNR", "SSIM"]


def classical_table(prepared: Prepared, seed: int) -> pd.DataFrame:
    """Return how well classical methods restore normal test images: a row a task, level, method.

    PSNR is in dB, and empty where a copy is perfect. Of many images some from everywhere are taken,
    the same for networks, corrupted by the same draws. Raises a UserError for tables.
    """
    rows = [
        row(problem, name, restored)
        for task in tasks_for(prepared.sample_shape)
        for level in task.levels
        for problem, name, restored in classical(prepared, task, level, seed)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def network_table(network: Network, prepared: Prepared, seed: int) -> pd.DataFrame:
    """Return the same of a network, which is told nothing; its method is called "network"."""
    clean = images(prepared, "test", MOST)
    rows = []
    for task in tasks_for(prepared.sample_shape):
        for level in task.levels:
            found = task.problem(clean, level, seed)
            rows.append(row(found, "network", restored(network, found)))
    return pd.DataFrame(rows, columns=COLUMNS)


def classical(
    prepared: Prepared, task: Task, level: float, seed: int
) -> Iterator[tuple[Problem, str, np.ndarray]]:
    """Yield the problem, the name of each method for it, and what it finds, (N, C, H, W).

    A method's settings are those with the highest PSNR on validation images, with draws of their
    own.
    """
    test = task.problem(images(prepared, "test", MOST), level, seed)
    validation = task.problem(images(prepared, "validation", CHOOSING), level, seed + 1)
    for method in METHODS:
        if task.name in method.tasks:
            yield test, method.name, method.restore(test, **method.chosen(validation))


def restored(network: Network, problem: Problem) -> np.ndarray:
    """Return what a network makes of what is seen: (N, C, H, W) float32."""
    return map_batch(network, torch.from_numpy(problem.seen), lambda view: view.output)[0]


def row(problem: Problem, method: str, found: np.ndarray) -> dict[str, object]:
    """Return one row of the tables: how near images (N, C, H, W) come to the clean ones."""
    quality = psnr(problem.clean, found)
    return {
        "task": problem.task,
        "level": problem.level,
        "method": method,
        "PSNR": quality if np.isfinite(quality) else None,
        "SSIM": ssim(problem.clean, found),
    }
