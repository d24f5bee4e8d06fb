"""The format of SAELens, compared with its formulas in NumPy, and with SAELens if installed."""

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from hourglass.core.errors import UserError
from hourglass.networks.sae_files import (
    CONFIG,
    TENSORS,
    WEIGHTS,
    read_dictionary,
    scaled_weights,
    set_weights,
    write_dictionary,
)
from hourglass.networks.sparse import SparseDictionary, Sparsity

INPUTS, UNITS, K = 6, 20, 3
SPARSITIES = get_args(Sparsity)
Tensors = dict[str, np.ndarray]


def dictionary(sparsity: Sparsity) -> SparseDictionary:
    """Return a dictionary with random weights."""
    torch.manual_seed(0)
    network = SparseDictionary((2, 3), UNITS, sparsity, K).requires_grad_(False)
    for weight in (network.W_enc, network.b_enc, network.W_dec, network.b_dec):
        weight.normal_()
    if network.threshold.shape and sparsity not in ("l1", "topk"):
        network.threshold.uniform_(0.2, 1.5)
    return network.eval()


def samples() -> np.ndarray:
    return np.random.default_rng(1).normal(3, 4, (50, 2, 3))


def scaling() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    return rng.normal(size=INPUTS), rng.uniform(0.5, 3, INPUTS)


def encode_with_numpy(x: np.ndarray, config: dict[str, Any], weights: Tensors) -> np.ndarray:
    """Return the codes of vectors as SAELens defines them, in double precision."""
    w = {name: np.asarray(weight, np.float64) for name, weight in weights.items()}
    inner = (x - config["apply_b_dec_to_input"] * w["b_dec"]) @ w["W_enc"]
    kind, norms = config["architecture"], np.linalg.norm(w["W_dec"], axis=1)
    if kind == "gated":
        magnitude = inner * np.exp(w["r_mag"]) + w["b_mag"]
        return np.maximum(magnitude, 0) * (inner + w["b_gate"] > 0)
    pre = inner + w["b_enc"]
    if config.get("rescale_acts_by_decoder_norm"):
        pre = pre * norms
    codes = np.maximum(pre, 0)
    if kind == "jumprelu":
        return codes * (pre > w["threshold"])
    if kind == "topk":
        least = np.sort(pre, axis=1)[:, -config["k"], None]
        return codes * (pre >= least)
    if "topk_threshold" in w:
        return codes * (pre > w["topk_threshold"])
    return codes


def decode_with_numpy(codes: np.ndarray, config: dict[str, Any], weights: Tensors) -> np.ndarray:
    w_dec = weights["W_dec"].astype(np.float64)
    if config.get("rescale_acts_by_decoder_norm"):
        w_dec = w_dec / np.linalg.norm(w_dec, axis=1, keepdims=True)
    return codes @ w_dec + weights["b_dec"]


def read_files(folder: Path) -> tuple[dict[str, Any], Tensors]:
    return json.loads((folder / CONFIG).read_text()), load_file(folder / WEIGHTS)


def outputs(network: SparseDictionary, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    z = network.encode(torch.from_numpy(x).float())
    return z.numpy(), network.decode(z).flatten(1).numpy()


def close(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_written_files_give_the_codes_of_unscaled_vectors(sparsity, tmp_path):
    network, (offset, scale), x = dictionary(sparsity), scaling(), samples().reshape(50, -1)
    z, reconstruction = outputs(network, ((x - offset) / scale).reshape(50, 2, 3))
    write_dictionary(network, tmp_path / "sae", offset, scale, {"note": "kept"})
    config, weights = read_files(tmp_path / "sae")
    codes = encode_with_numpy(x, config, weights)
    close(z, codes)
    close(reconstruction * scale + offset, decode_with_numpy(codes, config, weights))
    assert {weight.dtype for weight in weights.values()} == {np.dtype(np.float32)}
    assert weights.keys() == {"W_enc", "W_dec", "b_dec", *TENSORS[config["architecture"]]}
    assert config["metadata"]["note"] == "kept"
    assert 0 < (codes != 0).mean() < 1


@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_reading_gives_the_written_dictionary(sparsity, tmp_path):
    network, (offset, scale) = dictionary(sparsity), scaling()
    write_dictionary(network, tmp_path, np.zeros(INPUTS), np.ones(INPUTS), {})
    x = samples()
    again = read_dictionary(tmp_path)
    for found, expected in zip(outputs(again, x.reshape(50, -1)), outputs(network, x), strict=True):
        close(found, expected)
    write_dictionary(network, tmp_path, offset, scale, {})
    set_weights(again, scaled_weights(read_dictionary(tmp_path), offset, scale))
    for found, expected in zip(outputs(again, x.reshape(50, -1)), outputs(network, x), strict=True):
        close(found, expected)


def foreign(architecture: str, **changes: Any) -> tuple[dict[str, Any], Tensors]:
    """Return a configuration and tensors as SAELens writes them."""
    rng = np.random.default_rng(3)
    shapes = {"W_enc": (INPUTS, UNITS), "W_dec": (UNITS, INPUTS), "b_dec": (INPUTS,)}
    shapes |= dict.fromkeys(TENSORS[architecture], (UNITS,))
    weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    if "topk_threshold" in weights:
        weights["topk_threshold"] = np.array(0.7)  # float64
    config = {"d_in": INPUTS, "d_sae": UNITS, "architecture": architecture, "k": K}
    return {**config, "apply_b_dec_to_input": True, **changes}, weights


def write(folder: Path, config: dict[str, Any], weights: Tensors) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / CONFIG).write_text(json.dumps(config))
    save_file(weights, folder / WEIGHTS)
    return folder


@pytest.mark.parametrize("apply_b_dec_to_input", [True, False])
@pytest.mark.parametrize("rescale", [True, False])
@pytest.mark.parametrize("architecture", TENSORS)
def test_foreign_files_give_their_codes(architecture, rescale, apply_b_dec_to_input, tmp_path):
    if rescale and "topk" not in architecture:
        pytest.skip("only top-k has this setting")
    config, weights = foreign(
        architecture,
        apply_b_dec_to_input=apply_b_dec_to_input,
        rescale_acts_by_decoder_norm=rescale,
    )
    network, x = read_dictionary(write(tmp_path, config, weights)), samples().reshape(50, -1)
    z, reconstruction = outputs(network, x)
    codes = encode_with_numpy(x, config, weights)
    close(z, codes)
    close(reconstruction, decode_with_numpy(codes, config, weights))


def test_files_of_earlier_versions_are_read(tmp_path):
    config, weights = foreign("topk")
    old = {"d_in": INPUTS, "d_sae": UNITS, "activation_fn_str": "topk"}
    old |= {"activation_fn_kwargs": {"k": K}, "normalize_activations": None}
    x = samples().reshape(50, -1)
    z, _ = outputs(read_dictionary(write(tmp_path, old, weights)), x)
    close(z, encode_with_numpy(x, config, weights))
    config, weights = foreign("jumprelu")
    weights["log_threshold"] = np.log(np.abs(weights.pop("threshold")))
    z, _ = outputs(read_dictionary(write(tmp_path, config, weights)), x)
    threshold = np.exp(weights["log_threshold"])
    close(z, encode_with_numpy(x, config, weights | {"threshold": threshold}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "temporal"}, "architecture 'temporal' is not supported"),
        ({"architecture": ["standard"]}, "is not supported"),
        ({"activation_fn": "gelu"}, "activation 'gelu' is not supported"),
        ({"normalize_activations": "layer_norm"}, "fold it into the weights"),
        ({"d_in": "6"}, "d_in is '6', but must be a whole number"),
        ({"d_sae": 0}, "d_sae is 0"),
        ({"d_in": True}, "d_in is True"),
        ({"d_sae": 21}, r"W_enc is \(6, 20\)"),
        ({"architecture": "topk", "k": 21}, "k is 21, but must be at most"),
        ({"architecture": "topk", "k": None}, "k is None"),
        ({"activation_fn": "topk", "activation_fn_kwargs": [3]}, "k is None"),
        ({"apply_b_dec_to_input": "false"}, "apply_b_dec_to_input is 'false'"),
        ({"rescale_acts_by_decoder_norm": 1}, "rescale_acts_by_decoder_norm is 1"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, message, tmp_path):
    config, weights = foreign("standard")
    with pytest.raises(UserError, match=message):
        read_dictionary(write(tmp_path, config | changes, weights))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("b_enc", None, "has the tensors W_dec, W_enc, b_dec, but standard has"),
        ("extra", np.zeros(3, np.float32), "has the tensors"),
        ("b_enc", np.full(UNITS, np.nan, np.float32), "b_enc holds values that are not finite"),
        ("b_dec", np.zeros(INPUTS, np.int64), "floating-point numbers"),
        ("W_enc", np.zeros((UNITS, INPUTS), np.float32), r"must be \(6, 20\)"),
        ("W_dec", np.full((UNITS, INPUTS), 1e300), "does not fit into single precision"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(name, value, message, tmp_path):
    config, weights = foreign("standard")
    weights.pop(name, None)
    if value is not None:
        weights[name] = value
    with pytest.raises(UserError, match=message):
        read_dictionary(write(tmp_path, config, weights))


def test_missing_and_damaged_files_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"cfg\.json does not exist"):
        read_dictionary(tmp_path)
    write(tmp_path, *foreign("standard"))
    for name, content, message in (
        (WEIGHTS, b"\x80\x02}q\x00.", "cannot be read as safetensors"),  # a pickle
        (CONFIG, b"[1]", "holds no settings by name"),
        (CONFIG, b"{", "cannot be read"),
        (CONFIG, b" " * (1 << 20) + b"{}", "too large"),
    ):
        before = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=message):
            read_dictionary(tmp_path)
        (tmp_path / name).write_bytes(before)
    (tmp_path / WEIGHTS).unlink()
    with pytest.raises(UserError, match=r"sae_weights\.safetensors does not exist"):
        read_dictionary(tmp_path)


@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_sae_lens_gives_the_same_codes(sparsity, tmp_path):
    sae_lens = pytest.importorskip("sae_lens")
    network, (offset, scale), x = dictionary(sparsity), scaling(), samples().reshape(50, -1)
    z, reconstruction = outputs(network, ((x - offset) / scale).reshape(50, 2, 3))
    write_dictionary(network, tmp_path / "sae", offset, scale, {})
    sae = sae_lens.SAE.load_from_disk(tmp_path / "sae")
    with torch.no_grad():
        codes = sae.encode(torch.from_numpy(x).float())
        close(z, codes.numpy())
        close(reconstruction * scale + offset, sae.decode(codes).numpy())
        sae.save_model(tmp_path / "again")
        for found, expected in zip(
            outputs(read_dictionary(tmp_path / "again"), x), (codes, sae.decode(codes)), strict=True
        ):
            close(found, expected.numpy())
