"""Hourglass, through the functions that its commands call."""

import resource
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bare import reconstruction, synchronise
from benchmarks.cases import Case
from benchmarks.networks import build
from benchmarks.worker import Done
from hourglass.core.paths import prepared_folder
from hourglass.data.datamodule import DataModule
from hourglass.data.prepared_data import Prepared
from hourglass.detection.scorers import ModelScore
from hourglass.detection.scoring import FittedScorer
from hourglass.models.base import LitAutoencoder
from hourglass.stages import prepare as stage
from hourglass.training.cell_settings import CellSettings, Training
from hourglass.training.trainer import fit_resumable, make_trainer

MEMORY_LIMIT_BYTES = 4 * 1024**3  # a process that loads all streamed data fails
ACCELERATORS = {"cpu": "cpu", "cuda": "gpu"}


def train(case: Case) -> Done:
    """Train like `hourglass train`, with checkpoints, early stopping and history."""
    return _fit(case, {}, len(_train_split(case)) * case.epochs)


def stream(case: Case) -> Done:
    """Train for some steps on data larger than the memory limit."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    return _fit(case, {"limit_train_batches": case.steps}, case.steps * case.batch_size)


def _fit(case: Case, options: dict[str, Any], samples: int) -> Done:
    prepared = Prepared.open(prepared_folder(case.data))
    module = LitAutoencoder(
        build(case, prepared.input_shape),
        learning_rate=case.learning_rate,
        schedule="constant",
    )
    training = Training(case.batch_size, case.epochs, case.epochs)
    trainer = {"accelerator": ACCELERATORS[case.device], "devices": 1, **options}
    settings = CellSettings(case.data, case.network, "", {}, training, trainer, 0)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        data = DataModule(case.data, case.batch_size)
        fit_resumable(*make_trainer(settings, Path(folder), None), module, data)
        synchronise(case)
        seconds = time.perf_counter() - start
    if case.task == "stream":  # of zeros, so quality has no meaning
        return Done(seconds, samples)
    return Done(seconds, samples, reconstruction(case, module.network.to(case.device)))


def score(case: Case) -> Done:
    """Read, scale, score and check memory-mapped samples."""
    prepared = Prepared.open(prepared_folder(case.data))
    network = build(case, prepared.input_shape).eval()
    scoring = FittedScorer(network, prepared.scaling, ModelScore(), {})
    x = _train_split(case)
    start = time.perf_counter()
    for _ in range(case.epochs):
        scoring(x)
    return Done(time.perf_counter() - start, case.epochs * len(x))


def prepare(case: Case) -> Done:
    """Read, check, split, pack and fingerprint raw files."""
    start = time.perf_counter()
    folder = stage.prepare(case.data)
    seconds = time.perf_counter() - start
    card = Prepared.open(folder).card
    used = sum(split["normal"] + split["anomalies"] for split in card["splits"].values())
    return Done(seconds, used + card["unused"])


def _train_split(case: Case) -> np.ndarray:
    return Prepared.open(prepared_folder(case.data)).split("train").x
