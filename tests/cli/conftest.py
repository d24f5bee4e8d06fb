"""A working folder with calibrated cells, and samples for the commands that use them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hourglass.data.prepared_data import Prepared
from hourglass.stages.evaluate import evaluate
from tests.cli import IMAGES, TABLE
from tests.stages.cells import no_figures
from tests.workspaces import FakeRecorder, calibrated, set_up, working_in


@pytest.fixture(scope="package")
def cells(tmp_path_factory) -> Path:
    """Give a working folder with the evaluated cells TABLE and IMAGES."""
    folder = set_up(tmp_path_factory.mktemp("cells") / "workspace")
    with working_in(folder, FakeRecorder()), no_figures():
        calibrated(TABLE, IMAGES)
        for cell in (TABLE, IMAGES):
            evaluate(*cell)
    return folder


@pytest.fixture
def drawing_here(cells, tmp_path) -> Iterator[Path]:
    """Work in the folder of the cells; give a folder for files."""
    with working_in(cells):
        yield tmp_path


@pytest.fixture
def here(drawing_here, monkeypatch) -> Path:
    """Work in the folder of the cells, without drawing; give a folder for files."""
    monkeypatch.setattr(
        "hourglass.evaluation.figures.save", lambda figure, path: path.write_text("undrawn")
    )
    return Path(drawing_here)


@pytest.fixture(scope="package")
def rows(cells) -> pd.DataFrame:
    """Give the test rows of the table, with columns reversed and two columns added."""
    prepared = Prepared.open(cells / "data/prepared/breast_cancer")
    test = prepared.split("test")
    frame = pd.DataFrame(test.x, columns=prepared.card["feature_names"]).astype(np.float64)
    return frame[frame.columns[::-1]].assign(name=test.id, comment="none")


@pytest.fixture(scope="package")
def images(cells) -> np.ndarray:
    """Give the first 40 test images, (40, 1, 8, 8), from 0 to 16."""
    return np.array(Prepared.open(cells / "data/prepared/digits").split("test").x[:40])
