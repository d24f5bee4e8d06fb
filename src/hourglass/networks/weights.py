"""Save and load networks as safetensors and JSON, two formats that cannot contain code."""

from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError
from safetensors.torch import load as parse
from safetensors.torch import load_file, save
from torch import nn

from hourglass.core.atomic import atomic_file
from hourglass.core.checksums import (
    CORRUPT_FILE_ERRORS,
    file_checksums,
    read_with_checksum,
    verify_checksums,
    write_with_checksum,
)
from hourglass.core.errors import UserError, one_line
from hourglass.core.trusted_imports import import_trusted_module
from hourglass.networks import Network

WEIGHTS, SPEC = FILES = ("weights.safetensors", "network.json")
SETTINGS = "settings.yaml"


def class_at(class_path: str, base: type) -> Any:
    """Return the subclass of `base` with the dotted path `class_path`.

    Raises an ImportError, AttributeError, ValueError or TypeError if there is none. Only trusted
    modules are imported, so a class path from a file cannot run other code.
    """
    module, _, name = class_path.rpartition(".")
    kind = getattr(import_trusted_module(module), name)
    if not (isinstance(kind, type) and issubclass(kind, base)):
        raise TypeError(f"{class_path} is not a {base.__name__}")
    return kind


def parameter_count(network: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def describe(network: Network) -> dict[str, Any]:
    """Return the class path and constructor arguments from which `load` builds the network."""
    kind = type(network)
    path = f"{kind.__module__}.{kind.__qualname__}"
    spec = {"class_path": path, "init_args": network.init_args}
    return {**spec, "columns": network.heads.columns} if network.heads else spec


def build(spec: dict[str, Any]) -> Network:
    """Return an untrained network from the values of `describe`."""
    network: Network = class_at(spec["class_path"], Network)(**spec["init_args"])
    if "columns" in spec:
        network.add_heads(spec["columns"])
    return network


def to_bytes(network: Network) -> bytes:
    """Return the weights in the format safetensors."""
    weights = {key: value.cpu().contiguous() for key, value in network.state_dict().items()}
    return save(weights)


def from_bytes(spec: dict[str, Any], weights: bytes) -> Network:
    """Return the network of `describe`, in evaluation mode, with the weights of `to_bytes`."""
    network = build(spec)
    network.load_state_dict(parse(weights))
    return network.eval().requires_grad_(False)


def write(network: Network, folder: Path, *others: str) -> None:
    """Write weights.safetensors and network.json.

    network.json contains the SHA-256 of the weights, and of each file in `others` that exists in
    the folder.
    """
    with atomic_file(folder / WEIGHTS) as temporary:
        temporary.write_bytes(to_bytes(network))
    write_with_checksum(
        folder / SPEC, {**describe(network), "files": file_checksums(folder, [WEIGHTS, *others])}
    )


def trained_with(folder: Path) -> dict[str, Any]:
    """Return the training settings from the `train` folder of a cell.

    Raises a UserError if a file is missing or damaged.
    """
    try:
        verify_checksums(folder, {SETTINGS: read_with_checksum(folder / SPEC)["files"][SETTINGS]})
        settings: dict[str, Any] = yaml.safe_load((folder / SETTINGS).read_text(encoding="utf-8"))
    except (*CORRUPT_FILE_ERRORS, yaml.YAMLError) as error:
        reason = one_line(error)
        raise UserError(f"{folder} holds no usable settings ({reason}); train it again.") from None
    return settings


def load(folder: Path) -> Network:
    """Return the trained network from the `train` folder of a cell, in evaluation mode.

    Loading runs no code from the files: only trusted subclasses of Network are built, and
    safetensors holds only numbers. Raises a UserError if a file is missing or damaged, or if the
    weights do not fit the network.
    """
    try:
        spec = read_with_checksum(folder / SPEC)
        verify_checksums(folder, {WEIGHTS: spec["files"][WEIGHTS]})
        network = build(spec)
        saved, state = load_file(folder / WEIGHTS), network.state_dict()
        if any(saved[name].dtype != state[name].dtype for name in saved.keys() & state.keys()):
            raise TypeError(f"{WEIGHTS} holds numbers of another type than the network")
        network.load_state_dict(saved)
    except (*CORRUPT_FILE_ERRORS, SafetensorError) as error:
        reason = one_line(error)
        raise UserError(f"{folder} holds no usable network ({reason}); train it again.") from None
    return network.eval().requires_grad_(False)
