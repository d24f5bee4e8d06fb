"""Every argument of Lightning's Trainer in a trainer file: it trains, or is refused beforehand."""

import inspect
import math
import os
from collections.abc import Iterator
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from hourglass.core.settings import EXTRA_TRAINER_KEYS
from hourglass.training.trainer_file import trainer_config
from tests.training.conftest import SHAPE

CPU = "configs/trainer/cpu.yaml"
EPOCHS = 2
TRAINS: dict[str, list[Any]] = {
    "acceleration": ["auto", "none", "cuda_graph"],
    "accelerator": ["auto"],
    "accumulate_grad_batches": [1, 2, 100],
    "benchmark": [True, False, None],
    "callbacks": [None, []],
    "detect_anomaly": [True],
    "deterministic": [True, False, "warn", None],
    "devices": ["auto", 1, "1"],
    "enable_autolog_hparams": [False],
    "enable_checkpointing": [True, None],
    "enable_model_summary": [True],
    "fast_dev_run": [0, 1, 2, True, False],
    "fast_loop": [True, False],
    "gradient_clip_algorithm": ["norm", "value"],
    "gradient_clip_val": [None, 0, 0.01, math.inf],
    "inference_mode": [False],
    "limit_predict_batches": [0],
    "limit_test_batches": [0, 0.5],
    "limit_train_batches": [None, 1, 0.5, 1.0, 100],
    "limit_val_batches": [None, 1, 0.5, 1.0, 100],
    "log_every_n_steps": [None, 0, 1],
    "logger": [None, False, []],
    "max_steps": [-1],
    "max_time": [None, "00:01:00:00", {"hours": 1}],
    "min_epochs": [None, 0, 1, 100],
    "min_steps": [None, 0, 100],
    "model_registry": ["models"],
    "num_nodes": [1],
    "num_sanity_val_steps": [0, 1, 2, -1, 100],
    "overfit_batches": [0, 1, 0.5, 1.0],
    "plugins": [None, []],
    "precision": [32, "32-true", "16-mixed", "bf16-mixed", "16-true", "bf16-true", "64-true", None],
    "profiler": ["simple", "advanced", None],
    "reload_dataloaders_every_n_epochs": [0, 1],
    "residency": ["auto", "device", "host", "stream"],
    "strategy": ["auto", "ddp", "ddp_find_unused_parameters_true"],
    "sync_batchnorm": [True],
    "use_distributed_sampler": [True, False],
    "val_check_interval": [None, 1.0],
}
VALIDATION, DURATION, STRATEGY, REMOVE, POSITIVE = (
    *("validated once", "configs/data/<name>.yaml, training, as max_epochs"),
    *("use 'ddp'", "remove the setting", "positive"),
)
REFUSED: dict[str, dict[str, list[Any]]] = {
    "accelerator": {
        "gpu": ["gpu"] if not torch.cuda.is_available() else [],
        "torch_xla": ["tpu"],
        "Available names": ["abacus", None],
    },
    "accumulate_grad_batches": {POSITIVE: [0, -1], "whole number": ["x", {0: 2}]},
    "barebones": {REMOVE: [True]},
    "callbacks": {"list": ["x", True]},
    "check_val_every_n_epoch": {VALIDATION: [2, 0, -1, None]},
    "default_root_dir": {REMOVE: ["x"]},
    "devices": {"devices": [0, -1, -2, "0", "-1", "x", [], [0], None, 1.5, True]},
    "enable_checkpointing": {REMOVE: [False]},
    "enable_progress_bar": {REMOVE: [True]},
    "fast_dev_run": {"fast_dev_run": [-1, 1.5]},
    "gradient_clip_algorithm": {"Allowed": ["x"]},
    "gradient_clip_val": {POSITIVE: [-1, math.nan], "gradient_clip_val": ["x"]},
    "limit_train_batches": {POSITIVE: [0, 0.0], "limit_train_batches": [-1, 0.01]},
    "limit_val_batches": {VALIDATION: [0, 0.0], "limit_val_batches": [-1, 0.01]},
    "logger": {"list": [True, "x"]},
    "max_epochs": {DURATION: [1, 7, None]},
    "max_steps": {DURATION: [0, 1, 7, 1000, -2, None]},
    "max_time": {
        "first epoch": ["00:00:00:00", {"seconds": 0}],
        "DD:HH:MM:SS": ["x"],
        "max_time": [5],
        "fortnights": [{"fortnights": 1}],
    },
    "num_nodes": {"num_nodes": [0, -1]},
    "overfit_batches": {"overfit_batches": [-1, 1.5], "val_dataloader": [0.01]},
    "plugins": {"plugin": ["x", {"class_path": "pytorch_lightning.plugins.io.TorchCheckpointIO"}]},
    "precision": {"precision": [8, "x"], "transformer_engine": ["transformer-engine"]},
    "profiler": {"simple": ["x"]},
    "reload_dataloaders_every_n_epochs": {"reload_dataloaders_every_n_epochs": [-1]},
    "strategy": {
        STRATEGY: [
            *("ddp_spawn", "ddp_fork", "ddp_notebook", "ddp_spawn_find_unused_parameters_true"),
            *("fsdp", "fsdp_cpu_offload", "deepspeed", "deepspeed_stage_2", "single_device"),
            *("single_xla", "xla", "xla_fsdp", "xla_debug", "dp", "model_parallel", "x", None),
            {"class_path": "pytorch_lightning.strategies.DDPStrategy"},
        ]
    },
    "val_check_interval": {VALIDATION: [0, 1, 2, 0.5, 100, -1, "00:00:00:01", "x"]},
}


@pytest.fixture(autouse=True)
def no_process_group() -> Iterator[None]:
    """Remove the process group of `strategy: ddp`, and the environment variables that it sets."""
    before = dict(os.environ)
    yield
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    os.environ.clear()
    os.environ.update(before)


def test_every_argument_of_the_trainer_is_covered():
    arguments = inspect.signature(pl.Trainer).parameters.keys() | EXTRA_TRAINER_KEYS.keys()
    assert TRAINS.keys() | REFUSED.keys() == arguments


@pytest.mark.parametrize(("key", "value"), [(key, v) for key in TRAINS for v in TRAINS[key]])
@pytest.mark.filterwarnings("ignore")
def test_a_supported_setting_trains_to_the_best_weights(training, build, set_yaml, key, value):
    set_yaml(CPU, key, value=value)
    outcome = training(build("undercomplete", SHAPE), epochs=EPOCHS, **trainer_config("cpu"))
    is_one_epoch = key == "fast_dev_run" and bool(value)
    assert len(outcome.rows) == (1 if is_one_epoch else EPOCHS)
    assert all(math.isfinite(row["validation_error"]) for row in outcome.rows)
    assert {weights.dtype for weights in outcome.weights} == {torch.float32}


@pytest.mark.parametrize(
    ("key", "value", "part"),
    [(key, v, part) for key, parts in REFUSED.items() for part in parts for v in parts[part]],
)
@pytest.mark.filterwarnings("ignore")
def test_any_other_setting_is_refused_in_one_sentence(
    training, build, set_yaml, refusal, key, value, part
):
    def train() -> None:
        training(build("undercomplete", SHAPE), **trainer_config("cpu"))

    set_yaml(CPU, key, value=value)
    sentence = refusal(train)
    assert part in sentence
    assert "learning_rate" not in sentence


def test_a_profiler_prints_its_report(training, build, caplog, capfd):
    training(build("undercomplete", SHAPE), profiler="simple")
    assert "Total time" in caplog.text + "".join(capfd.readouterr())
