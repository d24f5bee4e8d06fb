"""What a worker pays for once: imports, checks, data, and the ranks of a distributed training."""

import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from lightning_fabric import Fabric

from hourglass.core.errors import UserError, one_line
from hourglass.core.settings import params
from hourglass.core.yaml_config import import_class
from hourglass.data.prepared import Prepared
from hourglass.detection.scorers.from_settings import make_scorer
from hourglass.models.base import LitAutoencoder
from hourglass.training.cell_settings import CellSettings, resolve_cell
from hourglass.training.trainer import make_trainer
from hourglass.tuning.objectives import Task
from hourglass.tuning.search_space import read_space
from hourglass.tuning.study_spec import StudySpec
from hourglass.tuning.trial import LoadedData, Trials
from hourglass.tuning.worker_job import Job


def load_trials(job: Job, question: StudySpec) -> Trials:
    """Return what runs the trials: all is checked, imported and loaded, and the ranks are there."""
    objective, prepared = question.make_objective(), Prepared.open(question.cell.prepared)
    settings = _placed(resolve_cell(question.cell, prepared.sample_shape), job.place)
    kind = import_class(settings.class_path, LitAutoencoder, settings.model)
    space = read_space(question.space_file, kind, settings)
    task = Task(prepared, make_scorer(params().score))
    objective.check(task, space)
    # A trainer that cannot be made would fail trial after trial.
    make_trainer(settings, Path(tempfile.gettempdir()), None, watching=())
    data = LoadedData(job.data, settings.training.batch_size, settings.seed, settings.residency)
    return Trials(settings, space, objective, task, data, _launch(settings))


def _placed(settings: CellSettings, place: int) -> CellSettings:
    """Return settings whose trainer, where it has one GPU of several, takes this worker's own."""
    trainer = settings.trainer
    one_gpu = trainer.get("accelerator") in ("gpu", "cuda", "auto") and trainer.get("devices") == 1
    if not (one_gpu and torch.cuda.is_available()):
        return settings
    return replace(settings, trainer=trainer | {"devices": [place % torch.cuda.device_count()]})


def _launch(settings: CellSettings) -> Fabric:
    """Return what connects the ranks of every trial; Lightning starts those that are not there.

    Raises a UserError for a trainer of several machines, which only a launcher could start.
    """
    nodes = settings.trainer.get("num_nodes", 1)
    if nodes > 1:
        raise UserError(
            f"num_nodes is {nodes}, but a trial is trained on one machine; name another `trainer` "
            "in params.yaml, and let machines share the study by HOURGLASS_OPTUNA_STORAGE."
        )
    given = ("accelerator", "devices", "strategy", "num_nodes")
    try:
        ranks = Fabric(**{key: each for key, each in settings.trainer.items() if key in given})
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"Lightning cannot train here ({one_line(error)}); name another `trainer` in "
            "params.yaml."
        ) from None
    ranks.launch()
    return ranks
