"""The feature autoencoder: its variant on features, under a plain Trainer and in ours."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from sklearn.decomposition import PCA
from torch.utils.data import DataLoader

from hourglass.models.feature import Feature

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
LAYERS = ["blocks.2", "blocks.4"]
SHAPE = (1, 32, 32)


@pytest.fixture(scope="module")
def x() -> torch.Tensor:
    return torch.rand(12, *SHAPE, generator=torch.Generator().manual_seed(0))


def build(name: str | None = None, latent_dim: int = 3, per: Any = "map", **init_args) -> Feature:
    torch.manual_seed(0)
    variant = {"class_path": f"hourglass.models.{name}", "init_args": init_args} if name else None
    return Feature(SHAPE, layers=LAYERS, per=per, latent_dim=latent_dim, variant=variant)


@pytest.fixture
def fit(tmp_path, x) -> Callable[..., pl.Trainer]:
    def train(module: pl.LightningModule, epochs: int = 2) -> pl.Trainer:
        trainer = pl.Trainer(
            default_root_dir=tmp_path, logger=False, enable_progress_bar=False, max_epochs=epochs,
            enable_model_summary=False, enable_checkpointing=False, accelerator="cpu", devices=1,
        )  # fmt: skip
        trainer.fit(module, DataLoader(x, 5), DataLoader(x, 5))
        return trainer

    return train


@pytest.mark.parametrize("per", ["map", "position"])
def test_by_default_features_are_reconstructed_by_pca(fit, x, per):
    module = build(per=per)
    fit(module)
    network = module.eval().network
    vectors = network.inner_samples(x).flatten(1).detach().numpy()
    pca = PCA(3).fit(vectors)
    expected = pca.inverse_transform(pca.transform(vectors))
    output = network(x).detach()
    if per == "position":
        output = output.movedim(1, -1)
    np.testing.assert_allclose(output.reshape(expected.shape), expected, atol=2e-3)


def test_features_are_standardised_over_the_training_images(fit, x):
    module = build("Denoising", hidden=[4])
    fit(module)
    with torch.no_grad():
        maps = module.network.maps(x).numpy().astype(np.float64)
    scale = maps.std(0) + 0.1 * maps.std((0, 2, 3))[:, None, None]
    expected = (maps - maps.mean(0)) / scale
    np.testing.assert_allclose(module.network.target(x), expected, atol=1e-4)


@pytest.mark.parametrize("per", ["map", "position"])
@pytest.mark.parametrize(
    ("name", "init_args"),
    [
        ("Denoising", {"hidden": [16]}),
        ("Variational", {"hidden": [16]}),
        ("Sparse", {}),
        ("Sparse", {"sparsity": "kl", "hidden": [16]}),
        ("Convolutional", {"channels": [4]}),
        ("Ensemble", {"width": 8}),
    ],
)
def test_vector_and_convolutional_variants_learn_features(fit, name, init_args, per):
    module = build(name, per=per, learning_rate=3e-3, **init_args)
    errors = [float(fit(module, epochs).callback_metrics["validation_error"]) for epochs in (1, 20)]
    assert errors[1] < errors[0] < math.inf
    assert not module.network.inner.bounded


def test_the_validation_error_is_the_mean_squared_error_of_the_features(fit, x):
    module = build("Undercomplete", hidden=[4])
    trainer = fit(module)
    expected = module.eval().network.error(x).mean().item()
    assert float(trainer.callback_metrics["validation_error"]) == pytest.approx(expected, rel=1e-4)


def test_the_variants_corruption_applies_to_the_features(x):
    module, seen = build("Denoising", noise_factor=0.5), []
    corrupt = module.variant.corrupt
    module.variant.corrupt = lambda features: seen.append(features) or corrupt(features)
    module.training_step(x)
    assert torch.equal(seen[0], module.network.target(x))
    assert not torch.equal(corrupt(seen[0]), seen[0])


def test_settings_of_the_training_are_those_of_the_variant_unless_it_sets_them():
    variant = {"class_path": "hourglass.models.Denoising", "init_args": {"weight_decay": 0.2}}
    module = Feature(SHAPE, layers=LAYERS, variant=variant, learning_rate=0.5, weight_decay=0.1)
    assert (module.variant.learning_rate, module.variant.weight_decay) == (0.5, 0.2)
    assert module.variant.corruption.noise_factor == 0.3  # its own default


def test_the_backbone_is_recorded_and_not_trained(fit):
    module = build("Undercomplete", hidden=[4])
    before = {name: value.clone() for name, value in module.network.maps.state_dict().items()}
    fit(module)
    after = module.network.maps.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert len(module.network.init_args["backbone_sha256"]) == 64


def test_variants_and_losses_that_do_not_suit_features_are_refused(refusal):
    assert "itself" in refusal(build, "Feature")
    assert "loss" in refusal(build, "Undercomplete", loss="bce")
    assert "not a subclass" in refusal(build, "corruption.Corruption")
    assert "unknown setting 'nosuch'" in refusal(build, "Denoising", nosuch=1)
    assert "weights" in refusal(Feature, SHAPE, backbone="resnet18")
