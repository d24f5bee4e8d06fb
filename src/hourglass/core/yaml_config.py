"""Check the keys and types of YAML files against the constructors that they configure.

In all functions, `where` is the place of a setting, such as "configs/model/linear.yaml", and the
prefix of error messages.
"""

import inspect
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, ArgumentParser

from hourglass.core.atomic import load_plain_yaml
from hourglass.core.errors import UserError, one_line
from hourglass.core.suggestions import did_you_mean, unknown_name
from hourglass.core.trusted_imports import (
    CLASS_PATH,
    how_to_trust,
    import_trusted_module,
    is_trusted,
    restrict_imports,
)
from hourglass.core.type_errors import wrong_type

Yaml = dict[str, Any]  # a mapping read from a YAML file


def read(path: Path, keys: Iterable[str] | None) -> Yaml:
    """Return the mapping in a YAML file; its top level may hold `keys` only (None: any key).

    Raises a UserError if the file is missing, is malformed, or has another key.
    """
    if not path.exists():
        raise unknown_name(path)
    try:
        values = load_plain_yaml(path.read_text(encoding="utf-8")) or {}
    # PyYAML raises Python's own errors for bad dates, very long integers and deep nesting.
    except (yaml.YAMLError, ValueError, RecursionError, IsADirectoryError) as error:
        raise UserError(f"{path.as_posix()} is not valid YAML: {one_line(error)}.") from None
    if not isinstance(values, dict):
        raise UserError(
            f"{path.as_posix()} holds a {type(values).__name__}, but must hold a mapping."
        )
    check_keys(values, values if keys is None else keys, path.as_posix())
    return values


def check_keys(names: Iterable[str], allowed: Iterable[str], where: str) -> None:
    """Raise a UserError for the first name that is not allowed, with the nearest allowed name."""
    allowed = list(allowed)
    for name in names:
        if name not in allowed:
            raise UserError(
                f"{where}: unknown setting {name!r}; {did_you_mean(str(name), allowed)}"
            )


def module_of(class_path: Any, where: str) -> str:
    """Return the trusted module of a class path; raise a UserError for any other class path."""
    text = str(class_path)
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
        cls = getattr(import_trusted_module(module), name, None)
    except ImportError as error:
        reason = one_line(error)
        raise UserError(
            f"{where}: class_path {class_path!r} cannot be imported ({reason}); correct the "
            "path, or install the package."
        ) from None
    if cls is None:
        raise UserError(
            f"{where}: class_path {class_path!r} names no class in {module}; correct the name."
        )
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise UserError(f"{where}: class_path {class_path!r} is not a subclass of {base.__name__}.")
    if inspect.isabstract(cls):
        raise UserError(f"{where}: class_path {class_path!r} is abstract; name a subclass of it.")
    return cls


def resolve(cls: type, values: Yaml | None, where: str, fixed: Yaml | None = None) -> Yaml:
    """Check `values` by type and fill in defaults; return all constructor arguments of `cls`.

    `fixed` holds arguments that the caller sets and a file may not set.
    """
    names = [name for name in arguments(cls) if name not in (fixed or {})]
    values = mapping(values, where)
    check_keys(values, names, where)
    for section in _sections(cls):
        mapping(values.get(section), f"{where}, {section}")
    with restrict_imports(values) as guard:
        try:
            parsed = _parser(cls).parse_object({**values, **(fixed or {})})
        except (ArgumentError, TypeError, ValueError) as error:
            if guard.refused:
                raise UserError(
                    f"{where}: module {guard.refused!r} is not trusted; "
                    f"{how_to_trust(guard.refused)}."
                ) from None
            raise UserError(f"{where}: {wrong_type(error, _parser(cls), values)}.") from None
    return parsed.as_dict()


def construct(cls: type, values: Yaml, where: str) -> Any:
    """Return an object of `cls` built from resolved `values`."""
    parser = _parser(cls)
    with restrict_imports(values):
        built = parser.instantiate_classes(parser.parse_object(values))
    try:
        return cls(**dict(built.items()))
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def build(config: Yaml, base: type, where: str) -> Any:
    """Build the instance of `base` described by a section with `class_path` and `init_args`."""
    check_keys(mapping(config, where), ("class_path", "init_args"), where)
    cls = import_class(config.get("class_path", ""), base, where)
    return construct(cls, resolve(cls, config.get("init_args"), where), where)


def mapping(values: Any, where: str) -> Yaml:
    """Return a section as a mapping, {} if it is empty; raise a UserError for other types."""
    if not isinstance(values, dict | None):
        raise UserError(f"{where} is {values!r}, but must be a mapping of names to values.")
    return values or {}


def arguments(cls: type) -> list[str]:
    """Return the names of all constructor arguments, including those passed to base classes."""
    return [name for name in _destinations(cls) if "." not in name]


def _sections(cls: type) -> list[str]:
    """Return the names of the arguments that are dataclasses, as `resolve` must get mappings."""
    return sorted({name.partition(".")[0] for name in _destinations(cls) if "." in name})


def _destinations(cls: type) -> list[str]:
    """Return jsonargparse's names of all arguments; those in sections contain a dot."""
    names = [action.dest for action in _parser(cls)._actions]
    return [name for name in names if name.rpartition(".")[2] != "help"]


@cache
def _parser(cls: type) -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(cls, fail_untyped=False)
    return parser
