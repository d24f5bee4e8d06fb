"""Hourglass: train, calibrate, evaluate, tune and compare autoencoders on equal terms.

`Autoencoder`, `load` and `leaderboard` are imported on first access, so that importing the package
does not import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hourglass.core.openblas import select_kernels

if TYPE_CHECKING:
    from hourglass.api.estimator import Autoencoder
    from hourglass.api.leaderboard import leaderboard
    from hourglass.api.load import load

    __version__: str

__all__ = ["Autoencoder", "__version__", "leaderboard", "load"]

_MODULES = {
    "Autoencoder": "hourglass.api.estimator",
    "leaderboard": "hourglass.api.leaderboard",
    "load": "hourglass.api.load",
}

select_kernels()


def __getattr__(name: str) -> Any:
    """Import and return a public name on its first access."""
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("hourglass")
    elif name in ("data", "models"):
        value = import_module(f"hourglass.{name}")
    elif name in _MODULES:
        value = getattr(import_module(_MODULES[name]), name)
    else:
        raise AttributeError(f"module 'hourglass' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return all names, with those not yet imported."""
    return sorted({*globals(), *__all__})
