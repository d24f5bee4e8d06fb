"""Documentation: links exist, commands exist, docstrings follow the style of CONTRIBUTING.md."""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.conftest import ROOT

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
GENERATED = {ROOT / "docs/reference/cli.md"}  # by `make docs`, not in git
SOURCES = sorted((ROOT / "src/hourglass").rglob("*.py"))
# Openings that put a clause where a noun or a verb belongs.
CLAUSE = re.compile(r"(what|which|who|whose|whom|whether|where|how|that)\b", re.IGNORECASE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_local_links_lead_to_files(page):
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    local = [link for link in links if not link.startswith(("http://", "https://"))]
    files = [(page.parent / link).resolve() for link in local]
    assert [file for file in files if not (file.exists() or file in GENERATED)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_the_docs_exist(page):
    from hourglass.cli.main import COMMANDS

    text = page.read_text(encoding="utf-8")
    commands = set(re.findall(r"(?m)^(?:\$ )?hourglass ([a-z][a-z-]*)", text))
    commands |= set(re.findall(r"`hourglass ([a-z][a-z-]*)[ `]", text))
    assert commands <= set(COMMANDS)


def test_every_environment_variable_is_documented():
    def variables(text: str) -> set[str]:
        return set(re.findall(r"\bHOURGLASS_[A-Z_]+", text))

    page = (ROOT / "docs/reference/environment.md").read_text(encoding="utf-8")
    assert set.union(*(variables(path.read_text("utf-8")) for path in SOURCES)) == variables(page)


def docstrings(source: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the first line of every docstring."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "name", "module"), text.splitlines()[0]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_docstrings_begin_with_a_noun_or_a_verb(path):
    lines = list(docstrings(path.read_text(encoding="utf-8")))
    assert [line for line in lines if CLAUSE.match(line[1])] == []
    assert [line for line in lines if len(line[1].split()) > 22] == []
