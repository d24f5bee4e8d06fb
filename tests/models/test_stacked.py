"""Greedy pre-training: each layer equals an autoencoder trained alone on the codes below."""

import copy
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from hourglass.core.paths import Cell
from hourglass.data.batches import Batches, Shares
from hourglass.data.datamodule import Codes, DataModule
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
    return resolve_cell(Cell("digits", "stacked"), (1, 8, 8))


@pytest.fixture
def data(settings) -> DataModule:
    return DataModule("digits", 64, settings.seed)


def pretrained(settings: CellSettings, data: DataModule, folder: Path) -> LitAutoencoder:
    module = make_module(settings)
    pretrain(settings, folder, None, module, data)
    return module


def linears(module: torch.nn.Module) -> list[torch.nn.Linear]:
    return [each for each in module.modules() if isinstance(each, torch.nn.Linear)]


def trained_alone(
    phase: Phase, settings: CellSettings, data: DataModule, folder: Path
) -> LitAutoencoder:
    """Train a copy of a phase's module on the codes below it, by a Trainer of its own."""
    alone = copy.deepcopy(phase.module)
    trainer, history = make_trainer(settings, folder, None)
    fit_resumable(trainer, history, alone, Codes(data, phase.below))
    return alone


def test_each_layer_is_the_autoencoder_trained_alone_on_the_codes_below(settings, data, tmp_path):
    stack = pretrained(settings, data, tmp_path / "stack")
    again = make_module(settings)
    for k, phase in enumerate(again.phases()):
        alone = trained_alone(phase, settings, data, tmp_path / f"alone{k}")
        phase.module.load_state_dict(alone.state_dict())
        encoder, decoder = linears(stack.network.encoder)[k], linears(stack.network.decoder)[-1 - k]
        assert torch.equal(encoder.weight, linears(alone.network.encoder)[0].weight)
        assert torch.equal(encoder.bias, linears(alone.network.encoder)[0].bias)
        assert torch.equal(decoder.weight, linears(alone.network.decoder)[0].weight)


def test_the_codes_below_are_those_of_the_layers_below(settings, data):
    module = make_module(settings)
    prepared = Prepared.open(Cell("digits", "stacked").prepared)
    x = torch.from_numpy(prepared.scaling(np.asarray(prepared.split("train").x)))
    widths = []
    for k, phase in enumerate(module.phases()):
        codes = Codes(data, phase.below)
        codes.setup()
        found = torch.cat(list(Batches(codes.rows("train"), Shares(len(x), 64))))
        expected = x
        for linear in linears(module.network.encoder)[:k]:
            expected = torch.sigmoid(linear(expected.flatten(1)))
        torch.testing.assert_close(found, expected)
        widths.append(phase.module.network.latent_dim)
    assert widths == [24, 16, 8]


def test_a_phase_begins_at_the_weights_of_the_whole(settings):
    module = make_module(settings)
    before = copy.deepcopy(module.network)
    for k, phase in enumerate(module.phases()):
        own, whole = linears(phase.module.network.encoder)[0], linears(before.encoder)[k]
        assert torch.equal(own.weight, whole.weight)


def test_pretraining_lowers_the_error_of_the_layers(settings, data, tmp_path):
    module = make_module(settings)
    rows, new = pretrain(settings, tmp_path / "stack", None, module, data)
    history = pd.DataFrame(rows)
    assert list(history.phase.unique()) == ["layer_1", "layer_2", "layer_3"]
    assert new == len(history) == 3 * EPOCHS
    for _, phase in history.groupby("phase"):
        assert phase.validation_error.iloc[-1] < phase.validation_error.iloc[0]


def test_complete_phases_are_not_trained_again(settings, data, tmp_path):
    first = pretrained(settings, data, tmp_path / "stack")
    second = make_module(settings)
    rows, new = pretrain(settings, tmp_path / "stack", None, second, data)
    assert new == 0
    assert len(rows) == 3 * EPOCHS
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_stack_interrupted_between_phases_ends_with_the_same_weights(settings, data, tmp_path):
    whole = pretrained(settings, data, tmp_path / "whole")
    part = make_module(settings)
    phases: Iterator[Phase] = part.phases()
    first = next(phases)
    trainer, history = make_trainer(settings, tmp_path / "part", None, first.name)
    fit_resumable(trainer, history, first.module, Codes(data, first.below))
    torch.rand(7)  # whatever was drawn meanwhile
    resumed = pretrained(settings, data, tmp_path / "part")
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
def test_contraction_lowers_the_norm_of_the_layers(settings, data, tmp_path, activation):
    from dataclasses import replace

    norms = []
    for contraction in (0.0, 10.0):
        own = {"contraction": contraction, "masking": 0.0, "activation": activation}
        changed = replace(settings, init_args=settings.init_args | own)
        module = pretrained(changed, data, tmp_path / str(contraction))
        norms.append(linears(module.network.encoder)[0].weight.square().sum().item())
    assert norms[1] < norms[0]


@pytest.mark.parametrize(
    ("setting", "value"), [("pretrain_epochs", 0), ("contraction", -1.0), ("masking", 1.0)]
)
def test_a_setting_out_of_range_is_refused(build, refusal, setting, value):
    def build_and_begin() -> None:
        next(build("stacked", (1, 8, 8), **{setting: value}).phases())

    assert f"{setting} is {value}" in refusal(build_and_begin)


def test_tied_layers_share_their_weights_with_the_decoder(build):
    module = build("stacked", (1, 8, 8), hidden=[24, 16], tied=True)
    assert len(linears(module.network.decoder)) == 0
    names = [phase.name for phase in module.phases()]
    assert names == ["layer_1", "layer_2", "layer_3"]


def test_corruptions_of_images_do_not_apply_to_codes(build):
    module = build(
        "stacked", (3, 8, 8), hidden=[8], masking=0.1, block=0.5, downsampling=2, grey=True
    )
    first, second = (phase.module.corruption for phase in module.phases())
    assert first == module.corruption
    assert second == Corruption(masking=0.1)
