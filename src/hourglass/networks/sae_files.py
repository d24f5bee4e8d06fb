"""Sparse dictionaries as SAELens writes them: `cfg.json` and `sae_weights.safetensors`.

The format is that of SAELens 6, https://github.com/decoderesearch/SAELens. A dictionary takes and
returns unscaled vectors, so a scaling of the inputs is part of the weights in the files. Files to
read are untrusted: safetensors holds only numbers, and names, shapes and values are checked.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from hourglass.core.atomic import atomic_folder, dump_json
from hourglass.core.errors import UserError, one_line
from hourglass.networks.sparse import SparseDictionary, Sparsity

CONFIG, WEIGHTS = "cfg.json", "sae_weights.safetensors"
FORMAT_VERSION = "6.0.0"  # of SAELens
MAX_CONFIG_BYTES = 1 << 20
SWITCHES = ("apply_b_dec_to_input", "rescale_acts_by_decoder_norm")
SHARED = ("W_enc", "W_dec", "b_dec")
# The tensors of each architecture besides SHARED. The last two are checkpoints of trainings, whose
# results SAELens writes as jumprelu.
TENSORS: dict[str, tuple[str, ...]] = {
    "standard": ("b_enc",),
    "topk": ("b_enc",),
    "jumprelu": ("b_enc", "threshold"),
    "gated": ("b_gate", "b_mag", "r_mag"),
    "batchtopk": ("b_enc", "topk_threshold"),
    "matryoshka_batchtopk": ("b_enc", "topk_threshold"),
}
ARCHITECTURES: dict[Sparsity, str] = {
    "l1": "standard",
    "topk": "topk",
    "batch_topk": "jumprelu",
    "matryoshka": "jumprelu",
    "jumprelu": "jumprelu",
    "gated": "gated",
}
SPARSITIES: dict[str, Sparsity] = {
    "standard": "l1",
    "topk": "topk",
    "jumprelu": "jumprelu",
    "gated": "gated",
    "batchtopk": "jumprelu",
    "matryoshka_batchtopk": "jumprelu",
}


def write_dictionary(
    network: SparseDictionary,
    folder: Path,
    offset: np.ndarray,
    scale: np.ndarray,
    metadata: Mapping[str, Any],
) -> None:
    """Write a dictionary to a new folder that SAELens loads.

    The network takes (x - offset) / scale of the vectors x; both are (D,). They are folded into the
    weights: the codes of unscaled x are the same, and reconstructions are unscaled. `metadata` is
    kept in cfg.json. A gated dictionary is one with r_mag = 0 and b_gate = b_enc - threshold.
    """
    architecture = ARCHITECTURES[network.sparsity]
    tensors = _folded(network, torch.from_numpy(offset), torch.from_numpy(scale))
    threshold = network.threshold.detach().cpu().double()
    if architecture == "jumprelu":
        tensors["threshold"] = threshold
    elif architecture == "gated":
        tensors["b_mag"] = tensors.pop("b_enc")
        tensors["b_gate"] = tensors["b_mag"] - threshold
        tensors["r_mag"] = torch.zeros_like(threshold)
    inputs, units = network.dictionary
    config = {
        "architecture": architecture,
        "d_in": inputs,
        "d_sae": units,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {"sae_lens_version": FORMAT_VERSION, **metadata},
    }
    if architecture == "topk":
        config |= {"k": network.k, "rescale_acts_by_decoder_norm": False}
    with atomic_folder(folder) as temporary:
        (temporary / CONFIG).write_text(dump_json(config), encoding="utf-8")
        numbers = {name: tensor.float().contiguous() for name, tensor in tensors.items()}
        (temporary / WEIGHTS).write_bytes(save(numbers))


def _folded(network: SparseDictionary, offset: Tensor, scale: Tensor) -> dict[str, Tensor]:
    """Return the weights in double precision for unscaled inputs.

    ((x - offset) / scale - b_dec) W_enc = (x - (scale b_dec + offset)) (W_enc / scale).
    """
    w_enc, b_enc, w_dec, b_dec = (
        weight.detach().cpu().double()
        for weight in (network.W_enc, network.b_enc, network.W_dec, network.b_dec)
    )
    return {
        "W_enc": w_enc / scale[:, None],
        "b_enc": b_enc,
        "W_dec": w_dec * scale,
        "b_dec": b_dec * scale + offset,
    }


def read_dictionary(folder: Path) -> SparseDictionary:
    """Return the dictionary in a folder, for vectors, (d_in,), in evaluation mode.

    Raises a UserError if a file is missing or damaged, or if the dictionary has an architecture, a
    normalisation of its inputs or a tensor that a `SparseDictionary` cannot have.
    """
    config = _read_config(folder / CONFIG)
    architecture = _architecture(config, folder)
    inputs, units = (_whole(config, key, folder) for key in ("d_in", "d_sae"))
    tensors = _read_tensors(folder, architecture, inputs, units)
    k = _whole(config, "k", folder) if architecture == "topk" else 1
    for key in SWITCHES:
        if key in config and not isinstance(config[key], bool):
            raise UserError(f"{folder}: {key} is {config[key]!r:.40}, but must be true or false.")
    weights = _to_jumprelu(tensors, architecture, config)
    for name, weight in weights.items():
        if not weight.float().isfinite().all():
            raise UserError(f"{folder}: {name} does not fit into single precision.")
    network = SparseDictionary((inputs,), units, SPARSITIES[architecture], k)
    set_weights(network, weights)
    return network.eval().requires_grad_(False)


def set_weights(network: SparseDictionary, weights: Mapping[str, Tensor]) -> None:
    """Set W_enc, b_enc, W_dec, b_dec and threshold of a dictionary."""
    with torch.no_grad():
        for name, weight in weights.items():
            getattr(network, name).copy_(weight)


def scaled_weights(
    network: SparseDictionary, offset: np.ndarray, scale: np.ndarray
) -> dict[str, Tensor]:
    """Return the weights of a dictionary of vectors x as one that takes (x - offset) / scale."""
    reverse = _folded(network, torch.from_numpy(-offset / scale), torch.from_numpy(1 / scale))
    return {**reverse, "threshold": network.threshold.detach()}


def _read_config(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise UserError(f"{path} is too large for the settings of a dictionary.")
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(
            f"{path} does not exist; name a folder with {CONFIG} and {WEIGHTS}, as SAELens writes."
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read ({one_line(error)}).") from None
    if not isinstance(config, dict):
        raise UserError(f"{path} holds no settings by name.")
    return config


def _architecture(config: dict[str, Any], folder: Path) -> str:
    """Return the architecture; raise a UserError if it, or the treatment of inputs, is unknown."""
    name = config.get("architecture", "standard")
    activation = config.get("activation_fn_str") or config.get("activation_fn") or "relu"
    if name == "standard" and activation == "topk":  # before SAELens 6
        arguments = config.get("activation_fn_kwargs")
        name, config["k"] = "topk", arguments.get("k") if isinstance(arguments, dict) else None
    elif activation not in ("relu", "topk"):
        raise UserError(f"{folder}: the activation {activation!r:.40} is not supported; only relu.")
    if not isinstance(name, str) or name not in TENSORS:
        raise UserError(
            f"{folder}: the architecture {name!r:.40} is not supported; only {', '.join(TENSORS)}."
        )
    normalisation = config.get("normalize_activations") or "none"
    if normalisation != "none":
        raise UserError(
            f"{folder}: normalize_activations is {normalisation!r:.40}, which depends on the "
            "sample or on an unknown factor; fold it into the weights first, so that it is 'none'."
        )
    return name


def _whole(config: dict[str, Any], key: str, folder: Path) -> int:
    value = config.get(key)
    if type(value) is not int or value < 1:
        raise UserError(f"{folder}: {key} is {value!r:.40}, but must be a whole number above 0.")
    return value


def _read_tensors(folder: Path, architecture: str, inputs: int, units: int) -> dict[str, Tensor]:
    """Return the tensors of an architecture in double precision, after checks."""
    path = folder / WEIGHTS
    try:
        found = load_file(path)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; name a folder with {CONFIG} and it.") from None
    except (OSError, ValueError, SafetensorError, RuntimeError) as error:
        raise UserError(f"{path} cannot be read as safetensors ({one_line(error)}).") from None
    if architecture == "jumprelu" and "log_threshold" in found:  # of old checkpoints
        found["threshold"] = found.pop("log_threshold").double().exp()
    shapes = {"W_enc": (inputs, units), "W_dec": (units, inputs), "b_dec": (inputs,)}
    shapes |= dict.fromkeys(TENSORS[architecture], (units,))
    if "topk_threshold" in shapes:
        shapes["topk_threshold"] = ()
    if found.keys() != shapes.keys():
        raise UserError(
            f"{path} has the tensors {', '.join(sorted(found)) or 'none'}, but {architecture} has "
            f"{', '.join(sorted(shapes))}."
        )
    for name, shape in shapes.items():
        tensor = found[name]
        if tuple(tensor.shape) != shape or not tensor.is_floating_point():
            raise UserError(
                f"{path}: {name} is {tuple(tensor.shape)} {tensor.dtype}, but must be {shape} of "
                "floating-point numbers."
            )
        if not tensor.double().isfinite().all():
            raise UserError(f"{path}: {name} holds values that are not finite.")
    return {name: tensor.double() for name, tensor in found.items()}


def _to_jumprelu(
    tensors: dict[str, Tensor], architecture: str, config: dict[str, Any]
) -> dict[str, Tensor]:
    """Return W_enc, b_enc, W_dec, b_dec and threshold that give the same codes.

    A gated unit with pre-activation u = x W_enc is active if u + b_gate > 0, with the value
    exp(r_mag) u + b_mag: a jump-ReLU with the threshold b_mag - exp(r_mag) b_gate.
    """
    w_enc, w_dec, b_dec = (tensors[name] for name in SHARED)
    if architecture == "gated":
        gain = tensors["r_mag"].exp()
        w_enc, b_enc = w_enc * gain, tensors["b_mag"]
        threshold = b_enc - gain * tensors["b_gate"]
    else:
        b_enc = tensors["b_enc"]
        threshold = tensors.get("threshold", torch.zeros_like(b_enc))
    if "topk_threshold" in tensors:
        threshold = tensors["topk_threshold"].expand_as(b_enc)
    if config.get("rescale_acts_by_decoder_norm", "topk_threshold" in tensors):
        norms = w_dec.norm(dim=1)  # codes are in units of the decoder's rows
        w_enc, b_enc, w_dec = w_enc * norms, b_enc * norms, w_dec / norms.clamp(1e-30)[:, None]
    if not config.get("apply_b_dec_to_input", True):
        b_enc = b_enc + b_dec @ w_enc
    weights = {"W_enc": w_enc, "b_enc": b_enc, "W_dec": w_dec, "b_dec": b_dec}
    return {**weights, "threshold": threshold}
