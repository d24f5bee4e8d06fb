"""Fine-tuning of an encoder with a softmax layer."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR

from hourglass.studies.classification import fine_tuning
from hourglass.studies.classification.fine_tuning import FineTuned, FineTuning, fine_tune
from hourglass.studies.classification.labelled_splits import LabelledSplits, labelled_splits
from tests.studies.conftest import FeatureMaps, same_state

SHORT = FineTuning(epochs=2, learning_rate=0.01, batch_size=32)


@pytest.fixture(autouse=True)
def short_epochs(monkeypatch):
    monkeypatch.setattr(fine_tuning, "LEAST_STEPS", 1)


@pytest.fixture
def constant_rate(monkeypatch):
    """Train without a schedule, so that the first epochs do not depend on their number."""

    def constant(optimizer: Optimizer, epochs: int) -> ConstantLR:
        return ConstantLR(optimizer, 1)

    monkeypatch.setattr(fine_tuning, "CosineAnnealingLR", constant)


@pytest.fixture
def tune(network, prepared, splits) -> Callable[..., FineTuned]:
    """Give a function that fine-tunes for two epochs, with some settings changed."""

    def run(**changes: Any) -> FineTuned:
        return fine_tune(network, prepared.scaling, splits, replace(SHORT, **changes))

    return run


def test_without_epochs_it_is_a_random_layer_on_the_codes(tune, network, prepared, splits):
    result = tune(epochs=0)
    torch.manual_seed(SHORT.seed)
    head = torch.nn.Linear(network.latent_dim, 4)
    with torch.no_grad():
        logits = head(network.encode(torch.from_numpy(prepared.scaling(splits.test.x))))
    assert same_state(result.classifier.network.state_dict(), network.state_dict())
    expected = np.mean(logits.argmax(1).numpy() != splits.test.y)
    assert result.test_error == pytest.approx(expected)


def test_a_copy_of_the_encoder_is_trained_and_the_decoder_unchanged(tune, network):
    before = {key: value.clone() for key, value in network.state_dict().items()}
    trained = tune().classifier.network
    assert same_state(network.state_dict(), before)
    assert not same_state(trained.encoder.state_dict(), network.encoder.state_dict())
    assert same_state(trained.decoder.state_dict(), network.decoder.state_dict())


CHANGES: dict[str, float] = {"seed": 1, "masking": 0.3, "dropout": 0.3}
CHANGES |= {"learning_rate": 0.001, "batch_size": 64, "epochs": 3}


@pytest.mark.parametrize(("name", "value"), CHANGES.items())
def test_every_setting_has_an_effect_and_fine_tuning_twice_gives_the_same_bytes(tune, name, value):
    default, *changed = (
        tune(**changes).classifier.state_dict() for changes in ({}, {name: value}, {name: value})
    )
    assert same_state(*changed)
    assert not same_state(default, changed[0])


def test_the_errors_are_those_of_the_returned_classifier(tune, prepared, splits):
    result = tune(dropout=0.5)
    errors = {"validation": result.validation_error, "test": result.test_error}
    for name, error in errors.items():
        part = getattr(splits, name)
        with torch.no_grad():
            logits = result.classifier(torch.from_numpy(prepared.scaling(part.x)))
        assert error == pytest.approx(np.mean(logits.argmax(1).numpy() != part.y))


def test_small_training_sets_are_repeated(tune, monkeypatch):
    once = tune().classifier.state_dict()
    monkeypatch.setattr(fine_tuning, "LEAST_STEPS", 100)
    assert not same_state(tune().classifier.state_dict(), once)


def test_the_weights_are_those_of_the_epoch_with_the_lowest_validation_error(tune, constant_rate):
    unstable = {"learning_rate": 0.3, "patience": 100}
    whole = tune(**unstable, epochs=12)
    assert 0 < whole.epoch < 11
    short = tune(**unstable, epochs=whole.epoch + 1)
    assert same_state(whole.classifier.state_dict(), short.classifier.state_dict())
    earlier = [tune(**unstable, epochs=k + 1).validation_error for k in range(whole.epoch)]
    assert whole.validation_error < min(earlier)


def test_patience_ends_the_training(tune):
    # With a learning rate this small the error does not improve after the first epoch.
    assert tune(epochs=10**9, patience=2, learning_rate=1e-12).epoch <= 4


def test_a_loss_that_is_not_finite_is_refused(tune, refusal):
    assert "learning_rate (now 1e+30)" in refusal(tune, learning_rate=1e30, epochs=20)


@pytest.mark.parametrize(
    ("name", "value"), [("epochs", -1), ("learning_rate", 0), ("learning_rate", float("nan"))]
)
def test_an_invalid_setting_is_refused(refusal, name, value):
    assert f"{name} is {value}" in refusal(replace, SHORT, **{name: value})


def test_a_class_without_training_samples_is_always_an_error(prepared, network):
    splits = labelled_splits(prepared, ["eight", "one", "two"], 0)  # the training zeros are -1
    known = splits.train.y >= 0
    train = replace(splits.train, x=splits.train.x[known], y=splits.train.y[known])
    share = np.mean(splits.test.y == -1)
    assert share > 0.1
    result = fine_tune(network, prepared.scaling, replace(splits, train=train), SHORT)
    assert result.test_error >= share


def test_the_encoder_of_every_variant_can_be_fine_tuned(build, variant, prepared, splits):
    network = build(variant, prepared.sample_shape).network.eval().requires_grad_(False)
    # A batch of one would be too small to normalise.
    few = LabelledSplits(*(part.first(33) for part in vars(splits).values()))
    result = fine_tune(network, prepared.scaling, few, replace(SHORT, epochs=1))
    before, after = network.state_dict(), result.classifier.network.state_dict()
    encoder = [key for key in before if key.startswith("encoder.")]
    weights = [key for key in encoder if key.endswith(("weight", "W_enc"))]
    assert weights
    assert not any(torch.equal(before[key], after[key]) for key in weights)


def test_codes_may_be_feature_maps(prepared, splits):
    network = FeatureMaps(side=8).eval().requires_grad_(False)
    result = fine_tune(network, prepared.scaling, splits, SHORT)
    assert result.classifier.head.in_features == 2 * 4 * 4
