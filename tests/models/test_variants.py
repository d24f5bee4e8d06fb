"""The suite of all variants: each file in configs/model is a case."""

import math
import re
from collections.abc import Callable
from copy import deepcopy
from functools import cache

import numpy as np
import pytest
import torch
import yaml
from torch.nn import functional

from hourglass.core.errors import UserError
from hourglass.models.base import LitAutoencoder
from hourglass.networks import Network
from hourglass.networks.weights import load, write
from tests.training.conftest import BOLTS
from tests.workspaces import EVERY_VARIANT, LARGE_IMAGES_ONLY, SERIES_ONLY

SHAPES = {"images": (1, 8, 8), "table": (12,), "series": (3, 10)}
LARGE = {(variant, "images") for variant in LARGE_IMAGES_ONLY}
SIZES = [(1, 1, 1), (1, 5, 7), (3, 9, 13), (1, 28, 28)]
SLOW_BOLTS = pytest.mark.parametrize(
    "variant",
    [
        pytest.param(name, marks=[pytest.mark.slow] * (name in BOLTS), id=name)
        for name in EVERY_VARIANT
    ],
    indirect=True,
)
NOT_VARIANTS = {
    "__init__",
    "base",
    "corruption",
    "dictionary_optimizer",
    "dictionary_statistics",
    "dictionary_training",
    "epoch_means",
    "imported",  # names files in the YAML that `hourglass import` writes
    "losses",
    "penalties",
    "schedules",
    "synthetic_defects",
}


@pytest.fixture(params=EVERY_VARIANT)
def variant(request) -> str:
    """Return the name of a variant for any samples."""
    return request.param


@pytest.fixture(params=SHAPES)
def shape(request, variant) -> tuple[int, ...]:
    return shape_for(variant, request.param)


def shape_for(variant: str, kind: str) -> tuple[int, ...]:
    """Return the shape of samples of a kind that are large enough for a variant."""
    return (1, 32, 32) if (variant, kind) in LARGE else SHAPES[kind]


@pytest.fixture(scope="session")
def build_once(build) -> Callable[..., LitAutoencoder | UserError]:
    """Give a function that builds a variant once, as its settings take longer than its tests."""

    @cache
    def build_or_refuse(variant: str, shape: tuple[int, ...]) -> LitAutoencoder | UserError:
        try:
            return build(variant, shape, learning_rate=0.01).eval()
        except UserError as error:
            return error

    return build_or_refuse


@pytest.fixture
def module(build_once, variant, shape) -> LitAutoencoder:
    """Give a variant for images, a table and a time series, unless it refuses one of them."""
    built = build_once(variant, shape)
    if isinstance(built, UserError):
        pytest.skip(str(built))
    return deepcopy(built)


@pytest.fixture
def x(shape) -> torch.Tensor:
    """Give 16 samples in [0, 1] of two latent dimensions."""
    generator = torch.Generator().manual_seed(0)
    codes, directions = (torch.randn(n, 2, generator=generator) for n in (16, math.prod(shape)))
    return (2 * codes @ directions.T).sigmoid().reshape(16, *shape)


def test_bolts_and_feature_take_images_only_two_series_only_all_others_everything(
    build_once, variant
):
    built = {kind: build_once(variant, shape_for(variant, kind)) for kind in SHAPES}
    taken = {kind for kind, module in built.items() if isinstance(module, LitAutoencoder)}
    only = (
        {"images"}
        if variant in LARGE_IMAGES_ONLY.union(BOLTS)
        else {"series"}
        if variant in SERIES_ONLY
        else {*SHAPES}
    )
    assert taken == only


def test_the_code_has_the_shape_that_decoding_takes(module, x):
    network = module.network
    codes = network.encode_flat(x)
    assert codes.shape == (16, math.prod(network.code_shape))
    assert network.decode_flat(codes).shape == network.target(x).shape
    assert network.widest >= x[0].numel()
    activations = network.layers(x)
    assert all(len(activation) == 16 and activation.ndim == 2 for activation in activations)
    assert torch.equal(activations[-1], codes)


def test_only_reconstructions_of_images_are_bounded(module, shape):
    assert not module.network.bounded or len(shape) == 3


class FillTwos(torch.nn.Module):
    """Heads of samples of any shape that fill missing cells with 2."""

    is_plain = True

    def fill(self, x: torch.Tensor) -> torch.Tensor:
        """Return samples of the same shape without missing cells."""
        return x.nan_to_num(nan=2.0)


def test_heads_fill_the_missing_cells_of_windows_before_they_are_encoded(module, shape, x):
    if module.network.takes_hidden:
        pytest.skip("its encoder takes missing cells, see test_masked")
    if len(shape) != 2:
        pytest.skip("TableHeads are for tables, see test_heads")
    filled = x.clone()
    filled[:, 1, 4], x[:, 1, 4] = 2.0, torch.nan
    expected = module.encode(filled)
    module.network.use_heads(FillTwos())
    assert torch.equal(module.encode(x), expected)


def test_a_sample_has_one_reproducible_score_that_is_finite_and_not_negative(module, x):
    scores = module.score(x)
    assert scores.shape == (16,)
    assert scores.isfinite().all()
    assert (scores >= 0).all()
    assert torch.equal(module.score(x), scores)
    assert torch.equal(module.network.score(x), scores)


def test_the_error_is_numpys_mean_squared_error_and_the_default_score(module, x):
    with torch.no_grad():
        error, output = module.network.error(x), module(x).numpy()
        target = module.network.target(x).numpy()
    expected = np.square(output.astype(np.float64) - target).reshape(16, -1).mean(1)
    np.testing.assert_allclose(error.numpy(), expected, rtol=1e-5)
    if type(module.network).score is Network.score:
        assert torch.equal(module.score(x), error)


def test_forward_encodes_and_decodes(module, variant, x):
    codes = module.encode(x)
    assert codes.shape == (16, module.network.latent_dim)
    if variant != "quantised":  # whose codes are few
        assert len(codes.unique(dim=0)) == len(x)
    assert module(x).shape == module.network.target(x).shape
    assert torch.equal(module(x), module.decode(codes))


@SLOW_BOLTS
def test_training_on_one_batch_lowers_its_loss_and_its_scores(train, module, variant, x):
    if variant in ("linear", "feature"):
        pytest.skip("its weights are those of PCA, see test_linear_is_pca")
    torch.manual_seed(0)  # the draws of bolts_vae, some of which diverge
    before = module.score(x).mean().item()
    losses = train(module, x, 100 if variant in BOLTS else 200)
    # Noise makes single losses jump, so means over some steps are compared.
    if variant != "adversarial":  # whose discriminator raises the loss as it learns
        assert np.mean(losses[-20:]) < 0.5 * np.mean(losses[:5])
    assert module.score(x).mean().item() < 0.5 * before


def test_every_weight_is_trained(module, x):
    module.training_step(x).backward()
    trained = [p for p in module.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trained)


def test_the_loss_in_mixed_precision_is_that_in_single_precision(module, x):
    torch.manual_seed(0)
    expected = module.training_loss(x)
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        loss = module.training_loss(x)
    torch.testing.assert_close(loss, expected, rtol=0.1, atol=0.01, check_dtype=False)


def test_a_batch_of_one_sample_can_be_scored_and_trained_on(train, module, x):
    torch.testing.assert_close(module.score(x[:1]), module.score(x)[:1])
    assert all(np.isfinite(train(module, x[:1], 2)))


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_any_size_of_image_is_trained_on_and_scored(build, train, variant, size):
    if variant in SERIES_ONLY:
        pytest.skip("takes no images")
    if variant in LARGE_IMAGES_ONLY:
        size = (size[0], 32 + size[1], 32 + size[2])
    if variant in BOLTS and size not in SIZES[::2]:
        pytest.skip("two sizes suffice for networks this slow")
    if variant == "undercomplete" and size == (1, 1, 1):
        pytest.skip("no code is narrower than one pixel")
    module = build(variant, size)
    x = torch.rand(2, *size, generator=torch.Generator().manual_seed(0))
    assert all(np.isfinite(train(module, x[:1], 2)))
    assert module(x).shape == module.network.target(x).shape
    torch.testing.assert_close(module.score(x[:1]), module.score(x)[:1])


@pytest.mark.parametrize("size", [(1, 2), (4, 1), (2, 13), (25, 64)], ids=str)
def test_any_size_of_window_is_trained_on_and_scored(build, train, variant, size):
    if variant in LARGE_IMAGES_ONLY.union(BOLTS):
        pytest.skip("takes images only")
    module = build(variant, size, **{"latent_dim": 1} if variant == "undercomplete" else {})
    x = torch.randn(3, *size, generator=torch.Generator().manual_seed(0))
    assert all(np.isfinite(train(module, x, 2)))
    assert module(x).shape == x.shape
    torch.testing.assert_close(module.score(x[:1]), module.score(x)[:1], rtol=1e-4, atol=1e-5)


def test_the_encoder_input_is_corrupted_and_the_target_clean(module, variant, x):
    if variant == "feature":
        pytest.skip("its variant corrupts features, see test_feature")
    clean, corrupted = x.clone().requires_grad_(), (x + 0.1).requires_grad_()
    module.corrupt = lambda samples: corrupted[: len(samples)]  # a part of the batch at times
    gradients = torch.autograd.grad(module.training_loss(clean), [clean, corrupted])
    assert all(gradient.any() for gradient in gradients)


def test_the_loss_is_reconstruction_loss_and_penalty(module, x):
    if type(module).training_loss is not LitAutoencoder.training_loss:
        pytest.skip("the variant has a loss of its own")
    penalty = module.penalty
    module.corrupt = lambda clean: clean
    module.penalty = lambda clean, codes: penalty(clean, codes) + clean.mean() + codes.mean()
    z = module.encode(x)
    torch.manual_seed(0)  # the draws of some penalties
    expected = functional.mse_loss(module(x), x) + penalty(x, z) + x.mean() + z.mean()
    torch.manual_seed(0)
    torch.testing.assert_close(module.training_step(x), expected)


def test_a_saved_variant_scores_the_same_to_the_bit_without_its_module(train, module, x, tmp_path):
    train(module, x, 2)
    write(module.network, tmp_path)
    network = load(tmp_path)
    assert torch.equal(network.score(x), module.score(x))


def test_bce_is_refused_on_tables(build, variant, refusal):
    sentence = refusal(build, variant, SHAPES["table"], loss="bce")
    if variant not in SERIES_ONLY.union(BOLTS, LARGE_IMAGES_ONLY):  # which refuse tables
        assert "bce" in sentence


def test_the_reconstruction_loss_is_torchs(module, x):
    z, output = module.encode(x), module(x)
    loss = functional.mse_loss(output, module.network.target(x))
    torch.testing.assert_close(module.reconstruction_loss(x, z), loss)
    if module.network.bounded:
        assert 0 <= output.min() <= output.max() <= 1
        module.loss = "bce"
        expected = functional.binary_cross_entropy(output, x)
        torch.testing.assert_close(module.reconstruction_loss(x, z), expected)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("learning_rate", 0.0), ("learning_rate", -1.0), ("weight_decay", -1.0), ("latent_dim", 0)],
)
def test_a_setting_out_of_range_is_refused(build, variant, refusal, setting, value):
    if setting == "latent_dim":  # or what sets the width of the code
        setting = {"overcomplete": "expansion", "ensemble": "width"}.get(variant, setting)
    shape = shape_for(variant, "series" if variant in SERIES_ONLY else "images")
    assert f"{setting} is {value}" in refusal(build, variant, shape, **{setting: value})


def test_an_undercomplete_code_must_be_narrower_than_a_sample(build, refusal):
    assert "latent_dim is 12" in refusal(build, "undercomplete", (12,), latent_dim=12)


def test_a_variants_class_is_in_the_file_of_its_name_and_imports_no_other_variant(
    repository, variant
):
    config = (repository / "configs/model" / f"{variant}.yaml").read_text(encoding="utf-8")
    module, _, name = yaml.safe_load(config)["class_path"].rpartition(".")
    assert module == f"hourglass.models.{variant}"
    source = (repository / "src/hourglass/models" / f"{variant}.py").read_text(encoding="utf-8")
    assert f"\nclass {name}(" in source
    imported = set(re.findall(r"hourglass\.models\.(\w+)", source))
    imported |= set(re.findall(r"from hourglass\.models import (\w+)", source))
    assert "base" in imported
    assert imported <= NOT_VARIANTS | ({"linear"} if variant == "feature" else set())


def test_every_file_of_a_variant_has_its_yaml(repository):
    files, configs = (
        {path.stem for path in (repository / folder).glob(pattern)}
        for folder, pattern in (("src/hourglass/models", "*.py"), ("configs/model", "*.yaml"))
    )
    assert files - NOT_VARIANTS == configs
