"""Networks to files and back: safetensors and JSON, nothing that could run code."""

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
    """Return the class at a dotted path.

    Raises an ImportError, AttributeError, ValueError or TypeError where there is none, or none that
    is a subclass of `base`: a file can name no other code to be run. Other modules than Hourglass's
    are not even imported.
    """
    module, _, name = class_path.rpartition(".")
    found = getattr(import_trusted_module(module), name)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise TypeError(f"{class_path} is no {base.__name__}")
    return found


def parameter_count(network: nn.Module) -> int:
    """Return the number of trained weights."""
    return sum(parameter.numel() for parameter in network.parameters())


def describe(network: Network) -> dict[str, Any]:
    """Return the class path and constructor arguments that `load` builds the network from."""
    kind = type(network)
    return {"class_path": f"{kind.__module__}.{kind.__qualname__}", "init_args": network.init_args}


def write(network: Network, folder: Path, *others: str) -> None:
    """Write the two FILES that `load` reads.

    network.json holds the SHA-256 of the weights, and of `others` that are in the folder.
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
        found: dict[str, Any] = yaml.safe_load((folder / SETTINGS).read_text(encoding="utf-8"))
    except (*CORRUPT_FILE_ERRORS, yaml.YAMLError) as error:
        reason = one_line(error)
        raise UserError(f"{folder} holds no usable settings ({reason}); train it again.") from None
    return found


def load(folder: Path) -> Network:
    """Return the network of a cell's folder, with its weights, in evaluation mode.

    Only subclasses of Network are built, and safetensors holds no code: nothing that is loaded can
    run any. Raises a UserError where either file is missing, damaged, or does not fit the other.
    """
    try:
        spec = read_with_checksum(folder / SPEC)
        verify_checksums(folder, {WEIGHTS: spec["files"][WEIGHTS]})
        network: Network = class_at(spec["class_path"], Network)(**spec["init_args"])
        found, own = load_file(folder / WEIGHTS), network.state_dict()
        if any(each.dtype != own[name].dtype for name, each in found.items() if name in own):
            raise TypeError(f"{WEIGHTS} holds numbers of another kind than the network")
        network.load_state_dict(found)
    except (*CORRUPT_FILE_ERRORS, SafetensorError) as error:
        reason = one_line(error)
        raise UserError(f"{folder} holds no usable network ({reason}); train it again.") from None
    return network.eval().requires_grad_(False)
