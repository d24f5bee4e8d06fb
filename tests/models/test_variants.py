"""The suite of all variants: each file in configs/model is a case."""

import ast
import math
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch.nn import functional

from hourglass.core.errors import UserError
from hourglass.models.base import LitAutoencoder
from hourglass.networks import Network
from hourglass.networks.weights import load, write

SHAPES = {"images": (1, 8, 8), "table": (12,)}
SIZES = [(1, 1, 1), (1, 5, 7), (3, 9, 13), (1, 28, 28)]
NOT_VARIANTS = {"__init__", "base", "corruption", "epoch_means", "penalties", "schedules"}
VARIANTS = sorted(path.stem for path in Path(__file__).parents[2].glob("configs/model/*.yaml"))
BOLTS = {"bolts_ae", "bolts_vae"}  # ResNets: one step takes as long as fifty of the others
LONG = pytest.mark.parametrize(
    "variant",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in BOLTS)) for name in VARIANTS],
    indirect=True,
)


@pytest.fixture(params=SHAPES)
def shape(request) -> tuple[int, ...]:
    return SHAPES[request.param]


@pytest.fixture(scope="session")
def built(build) -> Callable[..., LitAutoencoder | UserError]:
    """Give a function that builds a variant once, as its settings take longer than its tests."""

    @cache
    def once(variant: str, shape: tuple[int, ...]) -> LitAutoencoder | UserError:
        try:
            return build(variant, shape, learning_rate=0.01).eval()
        except UserError as error:
            return error

    return once


@pytest.fixture
def module(built, variant, shape) -> LitAutoencoder:
    """Give a variant for images and for a table, unless it refuses one of the two."""
    found = built(variant, shape)
    if isinstance(found, UserError):
        pytest.skip(str(found))
    return deepcopy(found)


@pytest.fixture
def x(shape) -> torch.Tensor:
    """Give 16 samples in [0, 1] of two latent dimensions."""
    generator = torch.Generator().manual_seed(0)
    codes, directions = (torch.randn(n, 2, generator=generator) for n in (16, math.prod(shape)))
    return (2 * codes @ directions.T).sigmoid().reshape(16, *shape)


def test_a_variant_takes_images_or_tables(built, variant):
    assert any(isinstance(built(variant, shape), LitAutoencoder) for shape in SHAPES.values())


def test_a_sample_has_one_finite_score_that_is_not_negative(module, x):
    scores = module.score(x)
    assert scores.shape == (16,)
    assert scores.isfinite().all()
    assert (scores >= 0).all()


def test_scores_are_reproducible_and_those_of_the_network(module, x):
    scores = module.score(x)
    assert torch.equal(module.score(x), scores)
    assert torch.equal(module.network.score(x), scores)


def test_the_error_is_numpys_mean_squared_error(module, x):
    with torch.no_grad():
        error, output = module.network.error(x).numpy(), module(x).numpy()
    expected = np.square(output.astype(np.float64) - x.numpy()).reshape(16, -1).mean(1)
    np.testing.assert_allclose(error, expected, rtol=1e-5)


def test_the_score_is_the_error_unless_the_variant_says_otherwise(module, x):
    if type(module.network).score is not Network.score:
        pytest.skip("the network has a score of its own")
    assert torch.equal(module.score(x), module.network.error(x))


def test_forward_encodes_and_decodes(module, x):
    codes = module.encode(x)
    assert codes.shape == (16, module.network.latent_dim)
    assert len(codes.unique(dim=0)) == len(x)
    assert module(x).shape == x.shape
    assert torch.equal(module(x), module.decode(codes))


@LONG
def test_training_on_one_batch_lowers_its_loss_and_its_scores(train, module, variant, x):
    before = module.score(x).mean().item()
    losses = train(module, x, 100 if variant in BOLTS else 200)
    # Of both ends the mean over some steps, as noise makes single losses jump.
    assert np.mean(losses[-20:]) < 0.5 * np.mean(losses[:5])
    assert module.score(x).mean().item() < 0.5 * before


def test_every_weight_is_trained(module, x):
    module.training_step(x).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


def test_a_batch_of_one_sample_can_be_scored_and_trained_on(train, module, x):
    torch.testing.assert_close(module.score(x[:1]), module.score(x)[:1])
    assert all(np.isfinite(train(module, x[:1], 2)))


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_any_size_of_image_is_trained_on_and_scored(build, train, variant, size):
    if variant in BOLTS and size not in SIZES[::2]:
        pytest.skip("two sizes suffice for networks this slow")
    if variant == "undercomplete" and size == (1, 1, 1):
        pytest.skip("no code is narrower than one pixel")
    module = build(variant, size)
    x = torch.rand(2, *size, generator=torch.Generator().manual_seed(0))
    assert all(np.isfinite(train(module, x[:1], 2)))
    assert module(x).shape == x.shape
    torch.testing.assert_close(module.score(x[:1]), module.score(x)[:1])


def test_the_encoder_input_is_corrupted_and_the_target_clean(module, x):
    clean, corrupted = x.clone().requires_grad_(), (x + 0.1).requires_grad_()
    module.corrupt = lambda _: corrupted
    loss = module.training_loss(clean)
    # With the encoder of one and the likelihood of the other both change the loss.
    assert all(grad.any() for grad in torch.autograd.grad(loss, [clean, corrupted]))


def test_the_loss_is_reconstruction_loss_and_penalty(module, x):
    if type(module).training_loss is not LitAutoencoder.training_loss:
        pytest.skip("the variant has a loss of its own")
    penalty = module.penalty
    module.corrupt = lambda clean: clean
    module.penalty = lambda clean, codes: penalty(clean, codes) + clean.mean() + codes.mean()
    torch.manual_seed(0)
    found = module.training_step(x)
    torch.manual_seed(0)
    z = module.encode(x)
    expected = module.reconstruction_loss(x, z) + penalty(x, z) + x.mean() + z.mean()
    torch.testing.assert_close(found, expected)


def test_a_saved_variant_scores_the_same_to_the_bit_without_its_module(train, module, x, tmp_path):
    train(module, x, 2)
    write(module.network, tmp_path)
    network = load(tmp_path)
    assert torch.equal(network.score(x), module.score(x))


def test_bce_is_refused_on_tables(build, variant, refusal):
    sentence = refusal(build, variant, SHAPES["table"], loss="bce")
    if variant not in BOLTS:  # which refuse tables
        assert "bce" in sentence


def test_bce_on_images_is_torchs_of_the_reconstruction(build, variant):
    x = torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    try:
        module = build(variant, SHAPES["images"], loss="bce")
    except UserError as error:
        pytest.skip(str(error))
    output = module(x)
    assert 0 <= output.min() <= output.max() <= 1
    found = module.reconstruction_loss(x, module.encode(x))
    torch.testing.assert_close(found, functional.binary_cross_entropy(output, x))


def test_mse_is_torchs_of_the_reconstruction(module, x):
    found = module.reconstruction_loss(x, module.encode(x))
    torch.testing.assert_close(found, functional.mse_loss(module(x), x))


@pytest.mark.parametrize(
    ("setting", "value"),
    [("learning_rate", 0.0), ("learning_rate", -1.0), ("weight_decay", -1.0), ("latent_dim", 0)],
)
def test_a_setting_out_of_range_is_refused(build, variant, refusal, setting, value):
    if variant == "overcomplete" and setting == "latent_dim":
        setting = "expansion"  # which sets the width of its code
    assert f"{setting} is {value}" in refusal(build, variant, SHAPES["images"], **{setting: value})


def test_an_undercomplete_code_must_be_narrower_than_a_sample(build, refusal):
    assert "latent_dim is 12" in refusal(build, "undercomplete", (12,), latent_dim=12)


def imported(path) -> set[str]:
    """Return the dotted names that a file imports anywhere in it, from this package."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = "hourglass.models" * bool(node.level) + (node.module or "")
            names |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.startswith("hourglass")}


def test_a_variants_file_imports_no_other_variant(repository, variant):
    folder = repository / "src/hourglass/models"
    others = {path.stem for path in folder.glob("*.py")} - NOT_VARIANTS - {variant}
    names = imported(folder / f"{variant}.py")
    assert "hourglass.models.base" in names
    assert not names & {f"hourglass.models.{other}" for other in others}


def test_a_variants_class_is_in_the_file_of_its_name(repository, variant):
    text = (repository / "configs/model" / f"{variant}.yaml").read_text(encoding="utf-8")
    module, _, name = yaml.safe_load(text)["class_path"].rpartition(".")
    assert module == f"hourglass.models.{variant}"
    source = (repository / "src/hourglass/models" / f"{variant}.py").read_text(encoding="utf-8")
    assert f"\nclass {name}(" in source


def test_every_file_of_a_variant_has_its_yaml(repository):
    files, configs = (
        {path.stem for path in (repository / folder).glob(pattern)}
        for folder, pattern in (("src/hourglass/models", "*.py"), ("configs/model", "*.yaml"))
    )
    assert files - NOT_VARIANTS == configs
