"""YAML files against the constructors they configure: every key and type is checked."""

import difflib
import inspect
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, ArgumentParser

from hourglass.core.errors import UserError, one_line
from hourglass.core.trusted_imports import import_trusted_module, restrict_imports

Yaml = dict[str, Any]


def read(path: Path, keys: Iterable[str] | None) -> Yaml:
    """Return the mapping in a YAML file, whose top level may hold `keys` only (None: any).

    Raises a UserError where it is missing (with the names there are), malformed, or has other keys.
    """
    if not path.exists():
        names = sorted(file.stem for file in path.parent.glob("*.yaml"))
        raise UserError(
            f"there is no {path.as_posix()}; {path.parent.name} is one of {', '.join(names)}, "
            "or write that file."
        )
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    # PyYAML lets through what Python says of dates, of digits by the thousand, of deep nesting.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path.as_posix()} is no valid YAML: {one_line(error)}.") from None
    if not isinstance(values, dict):
        raise UserError(f"{path.as_posix()} holds no mapping, but a {type(values).__name__}.")
    refuse_unknown(values, values if keys is None else keys, path.as_posix())
    return values


def refuse_unknown(given: Iterable[str], known: Iterable[str], where: str) -> None:
    """Raise a UserError for the first of `given` that is not in `known`, with the nearest name."""
    known = list(known)
    for key in given:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}."
            raise UserError(f"{where}: {key!r} is no setting here; {hint}")


def import_class(class_path: str, base: type, where: str) -> type:
    """Return the class at a dotted path in this package, which must be a subclass of `base`.

    Raises a UserError for any other, whose module is not imported.
    """
    module, _, name = str(class_path).rpartition(".")
    try:
        found = getattr(import_trusted_module(module), name)
    except (ImportError, AttributeError):
        raise UserError(
            f"{where}: class_path {class_path!r} cannot be imported; name a class in src/hourglass."
        ) from None
    if not (isinstance(found, type) and issubclass(found, base)):
        raise UserError(f"{where}: class_path {class_path!r} is no {base.__name__}.")
    if inspect.isabstract(found):
        raise UserError(
            f"{where}: class_path {class_path!r} is abstract; name a class of its kind."
        )
    return found


def resolve(kind: type, values: Yaml | None, where: str, fixed: Yaml | None = None) -> Yaml:
    """Return all constructor arguments of `kind`: `values` checked by type, defaults filled in.

    `fixed` are arguments that the caller gives and a file may not set.
    """
    names = [name for name in arguments(kind) if name not in (fixed or {})]
    values = mapping(values, where)
    refuse_unknown(values, names, where)
    try:
        with restrict_imports(values):
            parsed = _parser(kind).parse_object({**values, **(fixed or {})})
    except (ArgumentError, TypeError, ValueError) as error:
        raise UserError(f"{where}: {one_line(error)}.") from None
    return parsed.as_dict()


def construct(kind: type, values: Yaml, where: str) -> Any:
    """Return an object of `kind` built from resolved `values`; a UserError gets `where` in front."""
    parser = _parser(kind)
    try:
        with restrict_imports(values):
            given = parser.instantiate_classes(parser.parse_object(values))
    except TypeError as error:  # a nested section that is no mapping
        raise UserError(f"{where}: {one_line(error)}; give a mapping of names to values.") from None
    try:
        return kind(**dict(given.items()))
    except UserError as refusal:
        raise UserError(f"{where}: {refusal}") from None


def build(config: Yaml, base: type, where: str) -> Any:
    """Return the object that a section of `class_path` and `init_args` describes, a `base`."""
    refuse_unknown(mapping(config, where), ("class_path", "init_args"), where)
    kind = import_class(config.get("class_path", ""), base, where)
    return construct(kind, resolve(kind, config.get("init_args"), where), where)


def mapping(values: Any, where: str) -> Yaml:
    """Return a section of a file, {} where it is left empty, or raise a UserError."""
    if not isinstance(values, dict | None):
        raise UserError(f"{where} is {values!r}, but must be a mapping of names to values.")
    return values or {}


def arguments(kind: type) -> list[str]:
    """Return the names of all constructor arguments, those passed on to base classes included."""
    return [action.dest for action in _parser(kind)._actions if action.dest != "help"]


@cache
def _parser(kind: type) -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, fail_untyped=False)
    return parser
