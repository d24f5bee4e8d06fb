"""Restrict the modules that YAML and model files may name, since an import executes the module.

Trusted are this package, the modules that `trusted_modules` in params.yaml lists, and the modules
that installed distributions declare as entry points of the group `hourglass.plugins`.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from hourglass.core.atomic import load_plain_yaml
from hourglass.core.errors import UserError, one_line
from hourglass.core.paths import PARAMS, SOURCES

PACKAGE = "hourglass"
TRAINER_PACKAGES = ("pytorch_lightning", "lightning_fabric")  # for class paths in configs/trainer
PLUGIN_GROUP = "hourglass.plugins"
MODULE_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
CLASS_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_shipped: set[str] = set()  # modules in the code folder of a loaded MLflow model


def import_trusted_module(module: str) -> ModuleType:
    """Import and return a trusted module; raise an ImportError for any other."""
    if not MODULE_NAME.fullmatch(module) or not is_trusted(module):
        raise ImportError(f"module {module!r} is not trusted; {how_to_trust(module)}")
    return import_module(module)


def is_trusted(name: str) -> bool:
    """Return True if a module, or the module of a class path, may be imported."""
    return (
        _is_below(name, (PACKAGE, *_shipped))
        or _is_below(name, listed_modules())
        or _is_below(name, plugin_modules())  # last, because the search takes 50 ms
    )


def trust_shipped_modules(folder: Path) -> None:
    """Trust the top-level modules in the code folder of an MLflow model.

    MLflow puts that folder on the path and runs its code: loading a model trusts its server.
    """
    if folder.is_dir():
        _shipped.update(path.stem for path in folder.iterdir() if path.stem.isidentifier())


def how_to_trust(module: str) -> str:
    """Return the instruction to trust a module, as part of a sentence."""
    return f"to run its code, add {module.partition('.')[0]!r} to trusted_modules in {PARAMS}"


def listed_modules() -> tuple[str, ...]:
    """Return `trusted_modules` of params.yaml; () if there is no such file.

    If there are any, modules in the folder src of the workspace can be imported from now on.
    """
    from yaml import YAMLError

    try:
        settings = load_plain_yaml(PARAMS.read_bytes())
    except FileNotFoundError:
        return ()
    except (YAMLError, ValueError, RecursionError, IsADirectoryError) as error:
        raise UserError(f"{PARAMS} is not valid YAML: {one_line(error)}.") from None
    names = (settings.get("trusted_modules") if isinstance(settings, dict) else None) or []
    if not isinstance(names, list) or not all(MODULE_NAME.fullmatch(str(name)) for name in names):
        raise UserError(
            f"{PARAMS}: trusted_modules is {names!r}, but must be a list of module names."
        )
    if names and (source := str(SOURCES.absolute())) not in sys.path:
        sys.path.insert(0, source)  # as `python src/hourglass` does
    return tuple(map(str, names))


@cache
def plugin_modules() -> tuple[str, ...]:
    """Return the modules of all installed entry points of PLUGIN_GROUP."""
    from importlib.metadata import entry_points

    return tuple(sorted({plugin.module for plugin in entry_points(group=PLUGIN_GROUP)}))


def external_modules(values: Any) -> set[str]:
    """Return the trusted modules outside this package that occur as class paths in `values`."""
    paths = [text for text in texts(values) if CLASS_PATH.fullmatch(text)]
    modules = {path.rpartition(".")[0] for path in paths if not _is_below(path, (PACKAGE,))}
    return {module for module in modules if is_trusted(module)}


@contextmanager
def restrict_imports(values: Any) -> Iterator["ImportGuard"]:
    """Block imports of the untrusted modules that occur in `values`, read from a file.

    If a constructor takes a class or a function, jsonargparse imports it before it checks the type.
    All other modules may be imported, because libraries import some of their modules late.
    """
    paths = (text for text in texts(values) if CLASS_PATH.fullmatch(text))
    guard = ImportGuard(
        [path for path in paths if not _is_below(path, TRAINER_PACKAGES) and not is_trusted(path)]
    )
    sys.meta_path.insert(0, guard)
    try:
        yield guard
    finally:
        sys.meta_path.remove(guard)


class ImportGuard(MetaPathFinder):
    """An import hook that blocks the modules of untrusted class paths and their packages.

    `refused` is the last module that was blocked.
    """

    def __init__(self, untrusted: list[str]) -> None:
        self.untrusted = untrusted
        self.refused: str | None = None

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Raise an ImportError for a blocked module; return None for any other."""
        if any(_is_below(name, (fullname,)) for name in self.untrusted):
            self.refused = fullname
            raise ImportError(f"module {fullname!r} is not trusted; {how_to_trust(fullname)}")
        return None


def texts(values: Any) -> Iterator[str]:
    """Yield all strings among the values of nested mappings and lists."""
    if isinstance(values, str):
        yield values
    elif isinstance(values, dict | list | tuple):
        for value in values.values() if isinstance(values, dict) else values:
            yield from texts(value)


def _is_below(name: str, modules: Sequence[str]) -> bool:
    """Return True if a dotted name is one of the modules or lies below one."""
    return any(f"{name}.".startswith(f"{module}.") for module in modules)
