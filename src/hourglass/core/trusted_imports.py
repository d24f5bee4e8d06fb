"""Whose modules a file may name: to import a module is to run it."""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

OURS = ("hourglass",)
TRAINERS = ("pytorch_lightning", "lightning_fabric")  # whose classes configs/trainer may name
DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


def import_trusted_module(path: str) -> ModuleType:
    """Return a module of this package, imported; raises an ImportError for any other, unread."""
    if not DOTTED.fullmatch(path) or path.partition(".")[0] not in OURS:
        raise ImportError(f"{path!r} is no module of hourglass")
    return import_module(path)


@contextmanager
def restrict_imports(values: Any) -> Iterator[None]:
    """Let no module be imported meanwhile that `values`, read from a file, name.

    Whatever takes a class or a function takes its dotted path as text, at any depth; jsonargparse
    imports first and checks its type afterwards. Modules of OURS and TRAINERS are let through, and
    so are those that no value names: libraries import some of their own late.
    """
    guard = _Guard([text for text in _texts(values) if DOTTED.fullmatch(text)])
    sys.meta_path.insert(0, guard)
    try:
        yield
    finally:
        sys.meta_path.remove(guard)


class _Guard(MetaPathFinder):
    """Refuse to find modules that dotted names lead to or through."""

    def __init__(self, named: list[str]) -> None:
        self.named = [each for each in named if each.partition(".")[0] not in (*OURS, *TRAINERS)]

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return None, for the next finder to look, or raise an ImportError."""
        if any(f"{each}.".startswith(f"{fullname}.") for each in self.named):
            raise ImportError(f"{fullname!r} is no module of hourglass")
        return None


def _texts(values: Any) -> Iterator[str]:
    """Yield all texts in nested mappings and lists."""
    if isinstance(values, str):
        yield values
    elif isinstance(values, dict):
        for each in values.values():
            yield from _texts(each)
    elif isinstance(values, list | tuple):
        for each in values:
            yield from _texts(each)
