"""The rooms of the package import downwards only, as their docstrings state."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src/hourglass"
ROOMS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
INFERENCE = ("networks", "detection", "evaluation", "serving")
MOST_ENTRIES = 14  # at the top level of the package


def allowed(room: str) -> set[str]:
    """Return the rooms that the docstring of a room allows it to import."""
    docstring = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text("utf-8")))
    (sentence,) = re.findall(r"May import: ([^.]+)\.", docstring or "")
    if sentence == "nothing":
        return set()
    if sentence == "every other package":
        return set(ROOMS) - {room}
    return set(re.split(r",\s+", sentence))


def imports() -> Iterator[tuple[str, str]]:
    """Yield importing and imported module of every import, also in functions and for types."""
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((module, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{module} has a relative import"
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                yield from ((module, name) for name in names)


def rooms_of_imports() -> Iterator[tuple[str, str, str, str]]:
    """Yield both modules and both rooms of every import from one room into another."""
    for importer, imported in imports():
        source, target = importer.split("."), imported.split(".")
        if target[0] != "hourglass" or len(target) < 2 or source[1] not in ROOMS:
            continue
        if source[1] != target[1]:
            yield importer, imported, source[1], target[1]


def violations() -> set[tuple[str, str]]:
    return {
        (importer, ".".join(imported.split(".")[:3]))
        for importer, imported, source, target in rooms_of_imports()
        if target not in allowed(source)
    }


def test_the_search_finds_imports_in_functions_and_for_types():
    found = set(rooms_of_imports())
    assert {(source, target) for *_, source, target in found} >= {("stages", "core")}
    lazy = ("hourglass.stages.train", "hourglass.models.base.LitAutoencoder", "stages", "models")
    assert lazy in found


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_names_only_existing_rooms(room):
    assert allowed(room) <= set(ROOMS) - {room}


def test_no_import_breaks_the_rules_of_its_room():
    assert violations() == set()


def test_the_rules_have_no_cycle():
    order = TopologicalSorter({room: allowed(room) for room in ROOMS}).static_order()
    assert list(order)[-1] == "cli"


def test_the_package_has_few_entries_at_its_top_level():
    entries = [path.name for path in PACKAGE.iterdir() if not path.name.startswith("__")]
    assert len(entries) <= MOST_ENTRIES


@pytest.mark.parametrize("trainer", ["pytorch_lightning", "torchvision"])
def test_inference_imports_no_trainer(trainer):
    """The imports of a trainer would double the time of a small stage."""
    program = f"""
import importlib, pkgutil, sys, hourglass
for room in {INFERENCE}:
    package = importlib.import_module(f"hourglass.{{room}}")
    for module in pkgutil.walk_packages(package.__path__, f"{{package.__name__}}."):
        importlib.import_module(module.name)
sys.exit({trainer!r} in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
