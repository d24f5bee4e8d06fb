"""Save and load networks as safetensors and JSON, which cannot contain code."""

from pathlib import Path
from typing import Any

import yaml
from safetensors import SafetensorError
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
    """Return the subclass of `base` at a dotted path.

    Raises an ImportError, AttributeError, ValueError or TypeError if there is none. Modules that
    are not trusted are not imported, so a file cannot name other code to run.
    """
    module, _, name = class_path.rpartition(".")
    kind = getattr(import_trusted_module(module), name)
    if not (isinstance(kind, type) and issubclass(kind, base)):
        raise TypeError(f"{class_path} is not a {base.__name__}")
    return kind


def parameter_count(network: nn.Module) -> int:
    """Return the number of trainable weights."""
    return sum(parameter.numel() for parameter in network.parameters())


def describe(network: Network) -> dict[str, Any]:
    """Return the class path and constructor arguments that `load` builds the network from."""
    kind = type(network)
    return {"class_path": f"{kind.__module__}.{kind.__qualname__}", "init_args": network.init_args}


def write(network: Network, folder: Path, *others: str) -> None:
    """Write the two FILES that `load` reads.

    network.json contains the SHA-256 of the weights, and of the `others` that exist in the folder.
    """
    weights = {key: value.cpu().contiguous() for key, value in network.state_dict().items()}
    with atomic_file(folder / WEIGHTS) as temporary:
        temporary.write_bytes(save(weights))
    write_with_checksum(
        folder / SPEC, {**describe(network), "files": file_checksums(folder, [WEIGHTS, *others])}
    )


def trained_with(folder: Path) -> dict[str, Any]:
    """Return the settings that a cell was trained with, or raise a UserError for a damaged file."""
    try:
        verify_checksums(folder, {SETTINGS: read_with_checksum(folder / SPEC)["files"][SETTINGS]})
        settings: dict[str, Any] = yaml.safe_load((folder / SETTINGS).read_text(encoding="utf-8"))
    except (*CORRUPT_FILE_ERRORS, yaml.YAMLError) as error:
        reason = one_line(error)
        raise UserError(f"{folder} holds no usable settings ({reason}); train it again.") from None
    return settings


def load(folder: Path) -> Network:
    """Return the network in a cell's folder, with its weights, in evaluation mode.

    Only subclasses of Network are built and safetensors contains no code, so loading runs none of
    the file's. Raises a UserError if either file is missing or damaged, or does not fit the other.
    """
    try:
        spec = read_with_checksum(folder / SPEC)
        verify_checksums(folder, {WEIGHTS: spec["files"][WEIGHTS]})
        network: Network = class_at(spec["class_path"], Network)(**spec["init_args"])
        saved, state = load_file(folder / WEIGHTS), network.state_dict()
        if any(each.dtype != state[name].dtype for name, each in saved.items() if name in state):
            raise TypeError(f"{WEIGHTS} holds numbers of another type than the network")
        network.load_state_dict(saved)
    except (*CORRUPT_FILE_ERRORS, SafetensorError) as error:
        reason = one_line(error)
        raise UserError(f"{folder} holds no usable network ({reason}); train it again.") from None
    return network.eval().requires_grad_(False)
