"""Greedy pre-training: each layer equals an autoencoder trained alone on the codes below."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from hourglass.core.paths import Cell
from hourglass.data.batches import Batches, Shares
from hourglass.data.datamodule import CodesDataModule, DataModule
from hourglass.data.prepared_data import Prepared
from hourglass.models.base import LitAutoencoder, Phase
from hourglass.models.corruption import Corruption
from hourglass.stages.prepare import prepare
from hourglass.training.cell_settings import CellSettings, resolve_cell
from hourglass.training.trainer import fit_resumable, make_module, make_trainer, pretrain

EPOCHS = 2


@pytest.fixture
def settings(workspace, set_yaml) -> CellSettings:
    """Give the settings of a small stack on the digits, which are prepared."""
    set_yaml("configs/data/digits.yaml", "training", value={"batch_size": 64, "max_epochs": EPOCHS})
    init_args = {"hidden": [24, 16], "masking": 0.25, "pretrain_epochs": EPOCHS}
    set_yaml("configs/model/stacked.yaml", "init_args", value=init_args)
    prepare("digits")
    return resolve_cell(Cell("digits", "stacked"), (1, 8, 8), 700)


@pytest.fixture
def data(settings) -> DataModule:
    return DataModule("digits", 64, settings.seed)


def linears(module: torch.nn.Module) -> list[torch.nn.Linear]:
    return [layer for layer in module.modules() if isinstance(layer, torch.nn.Linear)]


@pytest.fixture
def pretrained(settings, data, tmp_path) -> Callable[..., LitAutoencoder]:
    """Give a function that pre-trains a new stack in a folder."""

    def train(folder: str, **init_args: Any) -> LitAutoencoder:
        changed = replace(settings, init_args=settings.init_args | init_args)
        module = make_module(changed)
        pretrain(changed, tmp_path / folder, None, module, data)
        return module

    return train


@pytest.fixture
def train_layer(settings, data, tmp_path) -> Callable[[Phase, str], None]:
    """Give a function that trains the module of a phase in a folder, by a Trainer of its own."""

    def train(phase: Phase, folder: str) -> None:
        trainer, history = make_trainer(settings, tmp_path / folder, None, phase.name)
        fit_resumable(trainer, history, phase.module, CodesDataModule(data, phase.lower_layers))

    return train


def test_each_layer_is_the_autoencoder_trained_alone_on_the_codes_below(
    settings, pretrained, train_layer
):
    stack = pretrained("stack").network
    for k, phase in enumerate(make_module(settings).phases()):
        train_layer(phase, "alone")
        (encoder,), (decoder,) = (
            linears(part) for part in (phase.module.network.encoder, phase.module.network.decoder)
        )
        assert torch.equal(linears(stack.encoder)[k].weight, encoder.weight)
        assert torch.equal(linears(stack.encoder)[k].bias, encoder.bias)
        assert torch.equal(linears(stack.decoder)[-1 - k].weight, decoder.weight)


def test_a_phase_begins_at_the_weights_of_the_stack_and_gets_the_codes_below(settings, data):
    module = make_module(settings)
    network = copy.deepcopy(module.network)
    prepared = Prepared.open(Cell("digits", "stacked").prepared)
    x = torch.from_numpy(prepared.scaling(np.asarray(prepared.split("train").x)))
    for phase, linear in zip(module.phases(), linears(network.encoder), strict=True):
        codes = CodesDataModule(data, phase.lower_layers)
        codes.setup()
        batches = Batches(codes.rows("train"), Shares(len(x), 64))
        torch.testing.assert_close(torch.cat(list(batches)), x)
        assert torch.equal(linears(phase.module.network.encoder)[0].weight, linear.weight)
        x = torch.sigmoid(linear(x.flatten(1))).detach()
    assert x.shape[1] == 8


def test_pretraining_lowers_the_error_of_the_layers(settings, data, tmp_path):
    rows, new_epochs = pretrain(settings, tmp_path, None, make_module(settings), data)
    history = pd.DataFrame(rows)
    assert list(history.phase.unique()) == ["layer_1", "layer_2", "layer_3"]
    assert new_epochs == len(history) == 3 * EPOCHS
    errors = history.groupby("phase").validation_error
    assert (errors.last() < errors.first()).all()


def test_complete_phases_are_not_trained_again(settings, data, pretrained, tmp_path):
    first, second = pretrained("stack"), make_module(settings)
    rows, new_epochs = pretrain(settings, tmp_path / "stack", None, second, data)
    assert new_epochs == 0
    assert len(rows) == 3 * EPOCHS
    assert all(map(torch.equal, first.parameters(), second.parameters()))


def test_a_stack_interrupted_between_phases_ends_with_the_same_weights(
    settings, pretrained, train_layer
):
    whole = pretrained("whole")
    train_layer(next(make_module(settings).phases()), "interrupted")
    torch.rand(7)  # other draws in the meantime
    resumed = pretrained("interrupted")
    assert all(map(torch.equal, whole.parameters(), resumed.parameters()))


@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
def test_contraction_lowers_the_norm_of_the_layers(pretrained, activation):
    free, contracted = (
        pretrained(str(weight), contraction=weight, masking=0.0, activation=activation)
        for weight in (0.0, 10.0)
    )
    norms = [linears(stack.network.encoder)[0].weight.norm() for stack in (free, contracted)]
    assert norms[1] < norms[0]


@pytest.mark.parametrize(
    ("setting", "value"), [("pretrain_epochs", 0), ("contraction", -1.0), ("masking", 1.0)]
)
def test_a_setting_out_of_range_is_refused(build, refusal, setting, value):
    def build_first_layer() -> None:
        next(build("stacked", (1, 8, 8), **{setting: value}).phases())

    assert f"{setting} is {value}" in refusal(build_first_layer)


def test_tied_layers_share_their_weights_with_the_decoder(build):
    module = build("stacked", (1, 8, 8), hidden=[24, 16], tied=True)
    assert len(linears(module.network.decoder)) == 0
    assert [phase.name for phase in module.phases()] == ["layer_1", "layer_2", "layer_3"]


def test_corruptions_of_images_do_not_apply_to_codes(build):
    module = build(
        "stacked", (3, 8, 8), hidden=[8], masking=0.1, block=0.5, downsampling=2, grey=True
    )
    first, second = (phase.module.corruption for phase in module.phases())
    assert first == module.corruption
    assert second == Corruption(masking=0.1)
