"""Messages for values of the wrong type, in place of jsonargparse's."""

import re
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from jsonargparse import ArgumentParser

from hourglass.core.errors import one_line
from hourglass.core.suggestions import nearest_name, quote

KEY = re.compile(r"Parser key \"([^\"]+)\"|Option '([^']+)' is required")
GIVEN = re.compile(r".*(?:Got|Given) value: (.*)\Z", re.DOTALL)
# Singular and plural of the types of settings.
NAMES: dict[Any, tuple[str, str]] = {
    bool: ("true or false", "truth values"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("text", "text"),
    Path: ("a path", "paths"),
    dict: ("a mapping of names to values", "mappings"),
}


def wrong_type(
    error: Exception,
    parser: ArgumentParser,
    values: Mapping[str, Any],
    label: Callable[[str], str] = str,
) -> str:
    """Return the clause "<key> is <value>, but must be <type>" for an error of jsonargparse.

    `values` holds the settings as read from YAML; a key that it lacks comes from the command line.
    `label` turns a key into its name for users. An error of another kind keeps its message.
    """
    match = KEY.match(str(error))
    key = (match[1] or match[2]) if match else ""
    hint = next((type_of(action) for action in parser._actions if action.dest == key), None)
    if hint is None:
        return one_line(error)
    if match and match[2]:
        return f"{label(key)} is missing; it must be {describe(hint)}"
    given = GIVEN.search(str(error))
    value = _find(values, key, given[1] if given else "")
    clause = f"{label(key)} is {quote(value)}, but must be {describe(hint)}"
    return clause + (_how_to_quote(value, hint) or _nearest_choice(value, hint))


def describe(hint: Any, plural: bool = False) -> str:
    """Return a type in words, such as "a list of whole numbers"; null is not mentioned."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        kinds = [arg for arg in sorted(args, key=is_list) if arg is not type(None)]
        return " or ".join(dict.fromkeys(describe(kind, plural) for kind in kinds))
    if origin is Literal:
        return f"{'some' if plural else 'one'} of {', '.join(map(str, args))}"
    kind = origin or hint
    if kind in NAMES:
        items = f" ({describe(args[1])})" if kind is dict and args and args[1] is not Any else ""
        return NAMES[kind][plural] + items
    if is_list(hint):
        items = f" of {describe(args[0], plural=True)}" if args else ""
        return f"lists{items}" if plural else f"a list{items}"
    return str(getattr(hint, "__name__", hint))


def is_list(hint: Any) -> bool:
    """Return whether a type is a list, a tuple or another sequence, but not text."""
    kind = get_origin(hint) or hint
    return isinstance(kind, type) and issubclass(kind, Sequence) and kind is not str


def type_of(action: Any) -> Any:
    """Return the type of an argument of jsonargparse."""
    return getattr(action, "_typehint", None) or action.type


def _find(values: Mapping[str, Any], key: str, default: Any) -> Any:
    """Return the value at a dotted key; `default` if there is none."""
    value: Any = values
    for name in key.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return default
        value = value[name]
    return value


def alternatives(hint: Any) -> Iterator[Any]:
    """Yield the simple types that a value or its items may have."""
    args = get_args(hint)
    if get_origin(hint) in (Union, types.UnionType) or is_list(hint):
        for arg in args:
            yield from alternatives(arg)
    else:
        yield hint


def _how_to_quote(value: Any, hint: Any) -> str:
    """Return the fix if YAML read an unquoted word, such as no, as something other than text."""
    takes_lists = any(map(is_list, (hint, *get_args(hint))))
    allowed = set(alternatives(hint))
    for item in value if isinstance(value, list) and takes_lists else [value]:
        is_word = not isinstance(item, str | list | dict | None) and type(item) not in allowed
        if is_word and str in allowed:
            word = {True: "yes", False: "no"}[item] if isinstance(item, bool) else str(item)
            reading = f"YAML reads {word} as {str(item).lower()}, so " if word != str(item) else ""
            return f"; {reading}quote it: '{word}'"
    return ""


def _nearest_choice(value: Any, hint: Any) -> str:
    choices = [choice for kind in alternatives(hint) for choice in _choices(kind)]
    near = nearest_name(str(value), choices)
    return f" (did you mean {near!r}?)" if near else ""


def _choices(hint: Any) -> list[str]:
    return [str(choice) for choice in get_args(hint)] if get_origin(hint) is Literal else []
