"""Tutorials: the code of every page and notebook runs in order, in one shell and an empty folder.

A block with a title is a file that the reader writes. Python blocks without a title run as one
program up to the next block of another kind. `text` is output, and is not compared.
"""

import json
import re
import subprocess
from itertools import groupby
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.workspaces import TIMEOUT_SECONDS, environment

FOLDER = ROOT / "docs/tutorials"
PAGES = [path for path in sorted(FOLDER.glob("*.*")) if path.stem != "index"]
BLOCK = re.compile(
    r'^```(?P<language>\w*)(?: title="(?P<file>[^"]+)")?\n(?P<code>.*?)^```$', re.M | re.S
)
# Any block, also those that BLOCK does not recognise, such as indented ones.
FENCE = re.compile(r"^\s*```\w", re.M)


def script(page: Path) -> str:
    """Return a tutorial as one bash script."""
    blocks = _cells(page) if page.suffix == ".ipynb" else _blocks(page)
    lines = ["set -euo pipefail", "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT"]
    for (language, file), group in groupby(blocks, lambda block: block[:2]):
        code = "\n".join(block[2] for block in group)
        if file:
            lines += [f'mkdir -p "$(dirname {file})"', f"cat > {file} <<'END'\n{code}\nEND"]
        elif language == "python":
            lines.append(f"python - <<'END'\n{code}\nEND")
        elif language == "sh":
            lines.append(code)
    return "\n".join(lines)


def _blocks(page: Path) -> list[tuple[str, str, str]]:
    """Return the blocks of a page as (language, file, code)."""
    found = [
        match.group("language", "file", "code") for match in BLOCK.finditer(page.read_text("utf-8"))
    ]
    return [(language, file or "", code) for language, file, code in found]


def _cells(notebook: Path) -> list[tuple[str, str, str]]:
    """Return the code cells of a notebook as (language, file, code)."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [
        ("python", "", "".join(cell["source"])) for cell in cells if cell["cell_type"] == "code"
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_block_of_a_tutorial_is_left_out(page):
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".md":
        assert len(FENCE.findall(text)) == len(BLOCK.findall(text))
        languages = {(language, bool(file)) for language, file, _ in _blocks(page)}
        assert languages <= {("sh", False), ("python", False), ("text", False)} | {
            (language, True) for language, _ in languages
        }


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tutorial_runs(page, tmp_path):
    program = tmp_path / "tutorial.sh"
    program.write_text(script(page), encoding="utf-8")
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n")
    done = subprocess.run(
        ["bash", program], cwd=home, text=True, timeout=TIMEOUT_SECONDS,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env=environment(HOME=str(home), PYTHONPATH=str(ROOT / "src"), MPLBACKEND="Agg"),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
