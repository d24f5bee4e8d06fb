"""Digests of executed code: the search for modules, and the source that counts."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hourglass.core.code_digest import WITHOUT_EFFECT, code_digest, executed_modules, source_file
from tests.workspaces import environment, set_up

ENTRY = '''"""A module."""
from typing import TYPE_CHECKING
import json
if TYPE_CHECKING:
    from own_pkg.typing_only import X

# a comment
def main(x):
    """Return something."""
    from own_pkg.lazy import helper
    return helper(x) + 1

def unused():
    from own_pkg import unreached
'''
FILES = {
    "__init__": "",
    "entry": ENTRY,
    "lazy": "from .relative import value\nfrom beside import other\ndef helper(x): return value\n",
    "relative": "value = 1\n",
    "typing_only": "X = int\n",
    "unreached": "x = 1\n",
    "caller": "from own_pkg.entry import main\nmain(1)\n",
}


@pytest.fixture
def package(tmp_path, monkeypatch, forget_code) -> Iterator[Path]:
    """Give the folder of a package of the user, with a module beside it."""
    folder = tmp_path / "code" / "own_pkg"
    folder.mkdir(parents=True)
    for name, text in FILES.items():
        (folder / f"{name}.py").write_text(text)
    (folder.parent / "beside.py").write_text("other = 1\n")
    monkeypatch.syspath_prepend(folder.parent)
    forget_code()
    yield folder
    monkeypatch.undo()


@pytest.fixture
def change(package, forget_code) -> Callable[[str, str], bool]:
    """Give a function that replaces text in the entry and says whether the digest changes."""

    def replace(old: str, new: str) -> bool:
        before = code_digest("own_pkg.caller")
        path = package / "entry.py"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
        forget_code()
        return code_digest("own_pkg.caller") != before

    return replace


def test_imports_of_reached_functions_are_followed_without_importing_anything(package):
    """Imports of other functions and for type checkers are left out, except those of an entry."""
    reached = {"own_pkg.entry", "own_pkg.lazy", "own_pkg.relative", "beside"}
    assert executed_modules("own_pkg.caller") == reached | {"own_pkg.caller"}
    assert executed_modules("own_pkg.entry") == reached | {"own_pkg.unreached"}
    assert not {name for name in sys.modules if name.startswith(("own_pkg", "beside"))}


@pytest.mark.parametrize(
    ("old", "new", "counts"),
    [
        ("# a comment\n", "", False),
        ("def main(x):\n", "def main(x):  # another comment\n", False),
        ('    """Return something."""\n', "", False),
        ('"""A module."""', '"""A longer\ndocstring."""  # with a comment', False),
        ("import json\n", "import json\n\n\n", False),
        ("+ 1", "+ 2", True),
        ("import json", "import csv", True),
        ("def main(x)", "def main(y)", True),
    ],
)
def test_code_counts_but_comments_docstrings_and_blank_lines_do_not(change, old, new, counts):
    assert change(old, new) is counts


def test_a_definition_beside_its_docstring_counts(change):
    change("def unused():\n", 'class Short: "Doc."; x = 1\ndef unused():\n')
    assert change("; x = 1", "; x = 2")


def test_modules_without_effect_count_as_entries_only():
    assert [name for name in WITHOUT_EFFECT if source_file(name) is None] == []
    assert "hourglass.stages.output" not in executed_modules("hourglass.stages.prepare")
    assert "hourglass.stages.output" in executed_modules("hourglass.stages.output")


def test_training_is_followed_into_the_network_but_compare_is_not():
    assert executed_modules("hourglass.stages.train") >= {
        "hourglass.training.trainer",
        "hourglass.networks",
        "hourglass.models.base",
    }
    assert "hourglass.models.base" not in executed_modules("hourglass.stages.compare")


# Runs two stages and prints which module of Hourglass imported which.
RECORD_IMPORTS = """
import builtins, json, sys
sys.path.insert(0, sys.argv[1])
real, edges = builtins.__import__, set()
def record(name, globals=None, locals=None, fromlist=(), level=0):
    module = real(name, globals, locals, fromlist, level)
    if name.startswith("hourglass"):
        targets = [f"{name}.{each}" for each in fromlist or () if f"{name}.{each}" in sys.modules]
        edges.update(((globals or {}).get("__name__", ""), target) for target in targets or [name])
    return module
builtins.__import__ = record
from hourglass.stages.prepare import prepare
from hourglass.stages.baselines import baselines
prepare("digits")
baselines("digits")
print(json.dumps(sorted(edges)))
"""


@pytest.mark.parametrize(
    "entries",
    [
        ("hourglass.stages.prepare", "hourglass.data.prepare", "hourglass.data.digits"),
        ("hourglass.stages.baselines",),
    ],
    ids=["prepare", "baselines"],
)
def test_a_digest_covers_every_module_that_its_modules_import_when_the_stage_runs(
    entries, recorded_imports
):
    covered = executed_modules(*entries)
    assert ("hourglass.stages.baselines", "hourglass.evaluation.baselines") in recorded_imports
    missing = {
        (importer, imported)
        for importer, imported in recorded_imports
        if importer in covered and imported not in covered | set(WITHOUT_EFFECT)
    }
    assert {each for each in missing if not each[1].startswith("hourglass.tracking.")} == set()


@pytest.fixture(scope="module")
def recorded_imports(tmp_path_factory, repository) -> set[tuple[str, str]]:
    """Give all imports between modules of Hourglass while two stages run in a process."""
    folder = set_up(tmp_path_factory.mktemp("imports") / "workspace")
    done = subprocess.run(
        [sys.executable, "-c", RECORD_IMPORTS, repository / "src"],
        cwd=folder, env=environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(map(tuple, json.loads(done.stdout)))
