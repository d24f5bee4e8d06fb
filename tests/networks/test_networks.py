"""Shapes, bounds and files of dense and convolutional networks."""

from pathlib import Path

import pytest
import torch

from hourglass.core.checksums import file_checksums, write_with_checksum
from hourglass.networks import Convolutional, Dense, Network
from hourglass.networks.weights import FILES, SPEC, WEIGHTS, load, parameter_count, write

SIDES = range(1, 34)
IMAGES = [
    shape for side in SIDES for shape in ((1, side, side), (3, side, side), (1, side, 34 - side))
]
VECTORS = [(features,) for features in range(1, 32)]
SHAPES = [(1, 8, 8), (3, 5, 7), (1, 1, 1), (30,), (1,)]
KINDS = pytest.mark.parametrize("kind", [Dense, Convolutional])


def make(kind: type[Network], shape: tuple[int, ...], latent_dim: int = 3, **settings) -> Network:
    torch.manual_seed(0)
    layers = {"hidden": [4]} if kind is Dense else {"channels": [2, 3]}
    return kind(**({"sample_shape": shape, "latent_dim": latent_dim} | layers | settings)).eval()


def samples(shape: tuple[int, ...], n: int = 2) -> torch.Tensor:
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(0))


@KINDS
@pytest.mark.parametrize("shape", [*IMAGES, *VECTORS], ids=str)
def test_code_and_reconstruction_have_their_shapes(kind, shape):
    for latent_dim in (1, 5):
        network, x = make(kind, shape, latent_dim), samples(shape)
        assert network.encode(x).shape == (2, latent_dim)
        assert network(x).shape == (2, *shape)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_more_strides_than_log2_of_the_side_restore_the_shape(shape):
    network = make(Convolutional, shape, channels=[2] * 7)
    assert network(samples(shape)).shape == (2, *shape)


@KINDS
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_outputs_and_errors_do_not_depend_on_other_samples_of_the_batch(kind, shape):
    network, x = make(kind, shape), samples(shape, 5)
    torch.testing.assert_close(network(x[:1]), network(x)[:1])
    assert network.error(x).shape == (5,)


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
    expected = [x.clone(), network.encode(x).detach(), network(x).detach()]
    with torch.no_grad():
        code = network.encode(x)
        kept, layers = code.clone(), network.layers(x)
        outputs = [x, code, network.decode(code)]
    assert all(map(torch.equal, outputs, expected))
    assert torch.equal(code, kept)
    assert all(map(torch.equal, layers, network.layers(x)))


@KINDS
@pytest.mark.parametrize("bounded", [False, True])
def test_reconstructions_lie_in_0_to_1_if_bounded(kind, bounded):
    codes = 1e3 * torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    decoded = make(kind, (1, 8, 8), bounded=bounded).decode(codes)
    assert decoded.min() < 0.5 < decoded.max()
    assert (0 <= decoded.min() <= decoded.max() <= 1) == bounded


@pytest.mark.parametrize("shape", [(1, 7, 5), (3, 8, 9), (11,)])
def test_a_stem_keeps_the_shape_and_adds_a_convolution_at_either_end(shape):
    plain, stemmed = (make(Convolutional, shape, channels=[4], stem=stem) for stem in (0, 5))
    assert stemmed(samples(shape)).shape == (2, *shape)
    channels, taps = (shape[0] if len(shape) > 1 else 1), 3 ** max(1, len(shape) - 1)
    ends = (channels * 5 * taps + 5) + (5 * channels * taps + channels)
    strided = 2 * (5 - channels) * 4 * taps + (5 - channels)
    assert parameter_count(stemmed) == parameter_count(plain) + ends + strided


def test_the_layers_are_the_input_the_hidden_units_and_the_code():
    network, x = make(Convolutional, (1, 8, 8), channels=[4, 6]), samples((1, 8, 8))
    layers = network.layers(x)
    assert [layer.shape[1] for layer in layers] == [64, 4 * 4 * 4, 6 * 2 * 2, 3]
    assert torch.equal(layers[0], x.flatten(1))
    assert torch.equal(layers[-1], network.encode(x))


@pytest.mark.parametrize(
    ("kind", "settings", "part"),
    [
        (Dense, {"latent_dim": 0}, "latent_dim is 0"),
        (Dense, {"hidden": [4, 0]}, "hidden is [4, 0]"),
        (Convolutional, {"latent_dim": -1}, "latent_dim is -1"),
        (Convolutional, {"stem": -1}, "stem is -1"),
        (Convolutional, {"channels": []}, "channels is empty"),
        (Convolutional, {"channels": [0]}, "channels is [0]"),
    ],
)
def test_settings_out_of_range_are_refused(refusal, kind, settings, part):
    assert part in refusal(make, kind, (1, 8, 8), **settings)


@KINDS
@pytest.mark.parametrize("bounded", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_loaded_network_gives_the_same_outputs_to_the_bit_and_is_for_evaluation(
    kind, bounded, shape, tmp_path
):
    network, x = make(kind, shape, bounded=bounded).train(), samples(shape, 5)
    write(network, tmp_path)
    loaded = load(tmp_path)
    assert torch.equal(loaded(x), network(x))
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


@pytest.fixture
def folder(tmp_path) -> Path:
    """Give a folder with a written network."""
    write(make(Dense, (8,)), tmp_path)
    return tmp_path


DENSE, INIT_ARGS = "hourglass.networks.Dense", {"sample_shape": [8], "latent_dim": 3}


@pytest.mark.parametrize(
    ("class_path", "init_args"),
    [
        ("os.system", {"command": "touch called"}),
        ("builtins.dict", INIT_ARGS),
        ("torch.nn.Linear", INIT_ARGS),
        ("hourglass.detection.calibrators.Quantile", INIT_ARGS),
        ("hourglass.networks.Nothing", INIT_ARGS),
        ("nowhere.Network", INIT_ARGS),
        ("Dense", INIT_ARGS),
        (".networks.Dense", INIT_ARGS),
        ("", INIT_ARGS),
        (None, INIT_ARGS),
        (DENSE, {"sample_shape": [8]}),
        (DENSE, {"depth": 3}),
        (DENSE, [1]),
        (DENSE, {"sample_shape": [9], "latent_dim": 3}),
    ],
)
def test_another_class_or_other_arguments_are_refused_and_not_called(
    folder, refusal, monkeypatch, class_path, init_args
):
    monkeypatch.chdir(folder)
    spec = {"class_path": class_path, "init_args": init_args}
    write_with_checksum(folder / SPEC, {**spec, "files": file_checksums(folder, [WEIGHTS])})
    sentence = refusal(load, folder)
    assert str(folder) in sentence
    assert "train it again" in sentence
    assert not (folder / "called").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '{"class_path": "a.b"}', "\xff"])
def test_a_damaged_description_is_refused(text, folder, refusal):
    (folder / SPEC).write_bytes(text.encode("latin-1"))
    assert str(folder) in refusal(load, folder)


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_truncated_weights_are_refused(kept, folder, refusal):
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:kept])
    assert str(folder) in refusal(load, folder)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_and_any_changed_byte_are_refused(name, tmp_path, refusal):
    write(make(Dense, (2,), 1), tmp_path)
    path = tmp_path / name
    whole = path.read_bytes()
    path.unlink()
    assert name in refusal(load, tmp_path)
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
