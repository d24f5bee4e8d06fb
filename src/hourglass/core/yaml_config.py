"""Check YAML files against the constructors that they configure: every key and every type."""

import difflib
import inspect
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, ArgumentParser

from hourglass.core.errors import UserError, one_line
from hourglass.core.trusted_imports import (
    CLASS_PATH,
    how_to_trust,
    import_trusted_module,
    is_trusted,
    restrict_imports,
    texts,
)

Yaml = dict[str, Any]
# Paths of earlier releases, which settings files of users may still hold.
MOVED_MODULES = {
    "hourglass.scorers": "hourglass.detection.scorers",
    "hourglass.calibration": "hourglass.detection.calibrators",
}
RENAMED_CLASSES = {"OwnScore": "ModelScore"}


def read(path: Path, keys: Iterable[str] | None) -> Yaml:
    """Return the mapping in a YAML file, whose top level may hold `keys` only (None: any key).

    Raises a UserError if the file is missing, is malformed, or has another key.
    """
    if not path.exists() and len(path.parts) < 3:
        raise UserError(f"{path.as_posix()} is missing; run this in the project's folder.")
    if not path.exists():
        available = ", ".join(sorted(file.stem for file in path.parent.glob("*.yaml")))
        raise UserError(
            f"unknown {path.parent.name} {path.stem!r}: {path.as_posix()} does not exist; "
            f"available: {available}."
        )
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    # PyYAML raises Python's own errors for bad dates, very long integers and deep nesting.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path.as_posix()} is not valid YAML: {one_line(error)}.") from None
    if not isinstance(values, dict):
        raise UserError(
            f"{path.as_posix()} holds a {type(values).__name__}, but must hold a mapping."
        )
    refuse_unknown(values, values if keys is None else keys, path.as_posix())
    return values


def refuse_unknown(names: Iterable[str], allowed: Iterable[str], where: str) -> None:
    """Raise a UserError for the first name that is not allowed, with the nearest allowed name."""
    allowed = list(allowed)
    for name in names:
        if name not in allowed:
            close = difflib.get_close_matches(str(name), allowed, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(allowed)}."
            raise UserError(f"{where}: unknown setting {name!r}; {hint}")


def module_of(class_path: Any, where: str) -> str:
    """Return the trusted module of a class path; raise a UserError for any other class path."""
    text = str(class_path)
    if new := _moved_to(text):
        raise UserError(f"{where}: class_path {text!r} has moved; write {new!r}.")
    if not CLASS_PATH.fullmatch(text):
        raise UserError(f"{where}: class_path {class_path!r} is not the dotted path of a class.")
    module = text.rpartition(".")[0]
    if not is_trusted(module):
        raise UserError(
            f"{where}: the module of class_path {text!r} is not trusted; {how_to_trust(module)}."
        )
    return module


def import_class(class_path: str, base: type, where: str) -> type:
    """Return the class at a dotted path, which must be a concrete subclass of `base`.

    Raises a UserError for any other class path. An untrusted module is not imported.
    """
    module, name = module_of(class_path, where), str(class_path).rpartition(".")[2]
    try:
        kind = getattr(import_trusted_module(module), name, None)
    except ImportError as error:
        reason = one_line(error)
        raise UserError(
            f"{where}: class_path {class_path!r} cannot be imported ({reason})."
        ) from None
    if kind is None:
        raise UserError(f"{where}: class_path {class_path!r} names no class in {module}.")
    if not (isinstance(kind, type) and issubclass(kind, base)):
        raise UserError(f"{where}: class_path {class_path!r} is not a subclass of {base.__name__}.")
    if inspect.isabstract(kind):
        raise UserError(f"{where}: class_path {class_path!r} is abstract; name a subclass of it.")
    return kind


def resolve(kind: type, values: Yaml | None, where: str, fixed: Yaml | None = None) -> Yaml:
    """Return all constructor arguments of `kind`: `values` checked by type, defaults filled in.

    `fixed` are arguments that the caller sets and a file may not set.
    """
    names = [name for name in arguments(kind) if name not in (fixed or {})]
    values = mapping(values, where)
    refuse_unknown(values, names, where)
    for text in texts(values):
        if new := _moved_to(text):
            raise UserError(f"{where}: {text!r} has moved; write {new!r}.")
    with restrict_imports(values) as guard:
        try:
            parsed = _parser(kind).parse_object({**values, **(fixed or {})})
        except (ArgumentError, TypeError, ValueError) as error:
            if guard.refused:
                raise UserError(
                    f"{where}: module {guard.refused!r} is not trusted; "
                    f"{how_to_trust(guard.refused)}."
                ) from None
            raise UserError(f"{where}: {one_line(error)}.") from None
    return parsed.as_dict()


def construct(kind: type, values: Yaml, where: str) -> Any:
    """Return an object of `kind` built from resolved `values`; prefix a UserError with `where`."""
    parser = _parser(kind)
    try:
        with restrict_imports(values):
            built = parser.instantiate_classes(parser.parse_object(values))
    except TypeError as error:  # a nested section that is not a mapping
        raise UserError(f"{where}: {one_line(error)}; give a mapping of names to values.") from None
    try:
        return kind(**dict(built.items()))
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def build(config: Yaml, base: type, where: str) -> Any:
    """Return the instance of `base` that a section of `class_path` and `init_args` describes."""
    refuse_unknown(mapping(config, where), ("class_path", "init_args"), where)
    kind = import_class(config.get("class_path", ""), base, where)
    return construct(kind, resolve(kind, config.get("init_args"), where), where)


def mapping(values: Any, where: str) -> Yaml:
    """Return a section of a file, {} if it is empty; raise a UserError if it is not a mapping."""
    if not isinstance(values, dict | None):
        raise UserError(f"{where} is {values!r}, but must be a mapping of names to values.")
    return values or {}


def arguments(kind: type) -> list[str]:
    """Return the names of all constructor arguments, including those passed to base classes."""
    return [action.dest for action in _parser(kind)._actions if action.dest != "help"]


@cache
def _parser(kind: type) -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, fail_untyped=False)
    return parser


def _moved_to(class_path: str) -> str | None:
    """Return the present path of a class that earlier releases had elsewhere, else None."""
    module, _, name = class_path.rpartition(".")
    for old, new in MOVED_MODULES.items():
        if f"{module}.".startswith(f"{old}."):
            return f"{new}.{RENAMED_CLASSES.get(name, name)}"
    if name in RENAMED_CLASSES and module.startswith("hourglass.detection.scorers"):
        return f"{module}.{RENAMED_CLASSES[name]}"
    return None
