"""Fixtures of commands that work next to calibrated cells."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workspaces import working_in


@pytest.fixture
def here(cells, tmp_path, monkeypatch) -> Iterator[Path]:
    """Work in the folder of the module's `cells`, without drawing; give a folder for files."""
    monkeypatch.setattr(
        "hourglass.evaluation.figures.save", lambda figure, path: path.write_text("undrawn")
    )
    with working_in(cells):
        yield tmp_path
