"""Networks to files and back: safetensors and JSON, nothing that could run code."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from hourglass.errors import Refusal, one_line
from hourglass.networks import Network
from hourglass.trusted import trusted_module

# What a damaged or foreign file makes json, safetensors, torch and Python raise.
UNUSABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError, RuntimeError)


def class_at(class_path: str, base: type) -> Any:
    """Return the class at a dotted path.

    Raises an ImportError, AttributeError, ValueError or TypeError where there is none, or none that
    is a subclass of `base`: a file can name no other code to be run. Other modules than Hourglass's
    are not even imported.
    """
    module, _, name = class_path.rpartition(".")
    found = getattr(trusted_module(module), name)
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


def load(folder: Path) -> Network:
    """Return the network of a cell's folder, with its weights, in evaluation mode.

    Only subclasses of Network are built, and safetensors holds no code: nothing that is loaded can
    run any. Raises a Refusal where either file is missing or they do not fit together.
    """
    try:
        spec = json.loads((folder / "network.json").read_text(encoding="utf-8"))
        network: Network = class_at(spec["class_path"], Network)(**spec["init_args"])
        network.load_state_dict(load_file(folder / "weights.safetensors"))
    except (*UNUSABLE, SafetensorError) as error:
        reason = one_line(error)
        raise Refusal(f"{folder} holds no usable network ({reason}); train it again.") from None
    return network.eval().requires_grad_(False)
