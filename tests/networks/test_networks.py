"""Shapes, bounds and files of dense and convolutional networks."""

from pathlib import Path
from typing import Any

import pytest
import torch

from hourglass.core.checksums import file_checksums, write_with_checksum
from hourglass.networks import Convolutional, Dense, Network
from hourglass.networks.weights import SPEC, WEIGHTS, load, parameter_count, write

SIDES = range(1, 34)
IMAGES = [
    shape for side in SIDES for shape in ((1, side, side), (3, side, side), (1, side, 34 - side))
]
VECTORS = [(features,) for features in range(1, 32)]
SHAPES = [(1, 8, 8), (3, 5, 7), (1, 1, 1), (30,), (1,)]
KINDS = pytest.mark.parametrize("kind", [Dense, Convolutional])
BOUNDED = pytest.mark.parametrize("bounded", [False, True])


def make(kind: type[Network], shape: tuple[int, ...], latent_dim: int = 3, **settings) -> Network:
    torch.manual_seed(0)
    layers = {"hidden": [4]} if kind is Dense else {"channels": [2, 3]}
    return kind(**({"sample_shape": shape, "latent_dim": latent_dim} | layers | settings)).eval()


def samples(shape: tuple[int, ...], n: int = 2) -> torch.Tensor:
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(0))


def saved(network: Network, folder: Path) -> tuple[Path, Path]:
    write(network, folder)
    return folder / SPEC, folder / WEIGHTS


def describe_as(spec: dict[str, Any], folder: Path) -> None:
    """Write another network.json with a valid checksum."""
    write_with_checksum(folder / SPEC, {**spec, "files": file_checksums(folder, [WEIGHTS])})


@KINDS
@pytest.mark.parametrize("shape", [*IMAGES, *VECTORS], ids=str)
def test_the_reconstruction_has_the_shape_of_the_sample(kind, shape):
    assert make(kind, shape)(samples(shape)).shape == (2, *shape)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_more_strides_than_log2_of_the_side_restore_the_shape(shape):
    network = make(Convolutional, shape, channels=[2] * 7)
    assert network(samples(shape)).shape == (2, *shape)


@KINDS
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("latent_dim", [1, 5])
def test_the_code_has_latent_dim_units(kind, shape, latent_dim):
    assert make(kind, shape, latent_dim).encode(samples(shape)).shape == (2, latent_dim)


@KINDS
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_an_output_does_not_depend_on_other_samples_of_the_batch(kind, shape):
    network, x = make(kind, shape), samples(shape, 5)
    torch.testing.assert_close(network(x[:1]), network(x)[:1])


@KINDS
@pytest.mark.parametrize("shape", [(1, 8, 8), (30,)], ids=str)
@pytest.mark.parametrize("hidden", [0, 1, 2])
@pytest.mark.parametrize("code_activation", ["relu", "identity"])
def test_without_gradients_outputs_are_the_same_and_inputs_unchanged(
    kind, shape, hidden, code_activation
):
    widths = {"hidden": [4] * hidden} if kind is Dense else {"channels": [2] * (hidden + 1)}
    network = make(kind, shape, code_activation=code_activation, **widths)
    x = samples(shape, 5) - 0.5
    wanted = [x.clone(), network.encode(x).detach(), network(x).detach()]
    with torch.no_grad():
        code = network.encode(x)
        kept, layers = code.clone(), network.layers(x)
        found = [x, code, network.decode(code)]
    assert all(map(torch.equal, found, wanted))
    assert torch.equal(code, kept)
    assert all(map(torch.equal, layers, network.layers(x)))


@KINDS
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_there_is_one_error_per_sample(kind, shape):
    network, x = make(kind, shape), samples(shape, 4)
    assert network.error(x).shape == (4,)


@KINDS
def test_bounded_reconstructions_lie_in_0_to_1(kind):
    codes = 1e3 * torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    decoded = make(kind, (1, 8, 8), bounded=True).decode(codes)
    assert 0 <= decoded.min() < 0.5 < decoded.max() <= 1


@KINDS
def test_other_reconstructions_are_not_bounded(kind):
    codes = 1e3 * torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    assert make(kind, (1, 8, 8)).decode(codes).min() < -1


@KINDS
@pytest.mark.parametrize("latent_dim", [0, -1])
def test_a_code_without_units_is_refused(kind, latent_dim, refusal):
    assert f"latent_dim is {latent_dim}" in refusal(make, kind, (8,), latent_dim)


@pytest.mark.parametrize("shape", [(1, 7, 5), (3, 8, 9), (11,)])
def test_a_stem_keeps_the_shape_and_adds_a_convolution_at_either_end(shape):
    torch.manual_seed(0)
    plain, stemmed = (Convolutional(shape, 3, [4], stem=stem) for stem in (0, 5))
    x = torch.rand(2, *shape)
    assert stemmed(x).shape == x.shape
    channels, taps = (shape[0] if len(shape) > 1 else 1), 3 ** max(1, len(shape) - 1)
    ends = (channels * 5 * taps + 5) + (5 * channels * taps + channels)
    strided = 2 * (5 - channels) * 4 * taps + (5 - channels)
    assert parameter_count(stemmed) == parameter_count(plain) + ends + strided


def test_the_layers_are_the_input_the_hidden_units_and_the_code():
    torch.manual_seed(0)
    network, x = Convolutional((1, 8, 8), 3, [4, 6]), torch.rand(2, 1, 8, 8)
    found = network.layers(x)
    assert [each.shape[1] for each in found] == [64, 4 * 4 * 4, 6 * 2 * 2, 3]
    assert torch.equal(found[0], x.flatten(1))
    assert torch.equal(found[-1], network.encode(x))


def test_a_negative_stem_is_refused(refusal):
    assert "stem is -1" in refusal(lambda: Convolutional((1, 8, 8), 3, [4], stem=-1))


def test_a_convolutional_network_without_channels_is_refused(refusal):
    assert "channels" in refusal(make, Convolutional, (1, 8, 8), channels=[])


@KINDS
@BOUNDED
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_loaded_network_gives_the_same_outputs_to_the_bit(kind, bounded, shape, tmp_path):
    network, x = make(kind, shape, bounded=bounded), samples(shape, 5)
    saved(network, tmp_path)
    assert torch.equal(load(tmp_path)(x), network(x))


@KINDS
def test_a_loaded_network_is_for_evaluation(kind, tmp_path):
    saved(make(kind, (8,)).train(), tmp_path)
    network = load(tmp_path)
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


@pytest.mark.parametrize(
    "class_path",
    [
        "os.system",
        "builtins.dict",
        "torch.nn.Linear",
        "hourglass.detection.calibrators.Quantile",
        "hourglass.networks.Nothing",
        "nowhere.Network",
        "Dense",
        ".networks.Dense",
        "",
        None,
    ],
)
def test_a_class_path_of_another_class_is_refused(class_path, tmp_path, refusal):
    saved(make(Dense, (8,)), tmp_path)
    spec = {"class_path": class_path, "init_args": {"sample_shape": [8], "latent_dim": 3}}
    describe_as(spec, tmp_path)
    assert "train it again" in refusal(load, tmp_path)


def test_a_class_path_of_another_class_is_not_called(tmp_path, refusal):
    saved(make(Dense, (8,)), tmp_path)
    spec = {"class_path": "os.system", "init_args": {"command": f"touch {tmp_path}/called"}}
    describe_as(spec, tmp_path)
    refusal(load, tmp_path)
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '{"class_path": "a.b"}', "\xff"])
def test_a_damaged_description_is_refused(text, tmp_path, refusal):
    description, _ = saved(make(Dense, (8,)), tmp_path)
    description.write_bytes(text.encode("latin-1"))
    assert str(tmp_path) in refusal(load, tmp_path)


@pytest.mark.parametrize("init_args", [{"sample_shape": [8]}, {"depth": 3}, [1]])
def test_other_constructor_arguments_are_refused(init_args, tmp_path, refusal):
    saved(make(Dense, (8,)), tmp_path)
    spec = {"class_path": "hourglass.networks.Dense", "init_args": init_args}
    describe_as(spec, tmp_path)
    assert str(tmp_path) in refusal(load, tmp_path)


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_truncated_weights_are_refused(kept, tmp_path, refusal):
    _, weights = saved(make(Dense, (8,)), tmp_path)
    weights.write_bytes(weights.read_bytes()[:kept])
    assert str(tmp_path) in refusal(load, tmp_path)


def test_weights_of_another_shape_are_refused(tmp_path, refusal):
    description, _ = saved(make(Dense, (8,)), tmp_path)
    spec = description.read_text(encoding="utf-8")
    saved(make(Dense, (9,)), tmp_path)
    description.write_text(spec, encoding="utf-8")
    assert str(tmp_path) in refusal(load, tmp_path)


@pytest.mark.parametrize("missing", [0, 1])
def test_a_missing_file_is_refused(missing, tmp_path, refusal):
    files = saved(make(Dense, (8,)), tmp_path)
    files[missing].unlink()
    assert files[missing].name in refusal(load, tmp_path)


@pytest.mark.parametrize("which", [0, 1])
def test_any_changed_byte_is_refused(which, tmp_path, refusal):
    path = saved(make(Dense, (2,), 1), tmp_path)[which]
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        assert "train it again" in refusal(load, tmp_path)
    path.write_bytes(whole)
    load(tmp_path)


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        (Dense((30,), 3, [8]), 30),
        (Dense((30,), 3, [50, 8]), 50),
        (Dense((1, 8, 8), 100), 100),
        (Convolutional((1, 28, 28), 32, (16, 32)), 16 * 14 * 14),
        (Convolutional((1, 28, 28), 32, (2, 32)), 32 * 7 * 7),
    ],
    ids=["sample", "hidden layer", "code", "first channels", "last channels"],
)
def test_widest_is_the_output_size_of_the_largest_layer(network, expected):
    before = torch.get_rng_state()
    assert network.eval().widest == expected
    assert torch.equal(torch.get_rng_state(), before)
    assert network.state_dict().keys() == type(network)(**network.init_args).state_dict().keys()
