"""Fixtures of the tuning tests: search spaces, and studies without trainings."""

import optuna
import pytest

from hourglass.core.paths import Cell
from hourglass.core.yaml_config import import_class
from hourglass.models.base import LitAutoencoder
from hourglass.stages.prepare import prepare
from hourglass.training.cell_settings import resolve_cell
from hourglass.tuning import study as studies
from hourglass.tuning.objectives import Detection
from hourglass.tuning.search_space import Space, read_space


@pytest.fixture(autouse=True)
def _default_storage(monkeypatch) -> None:
    monkeypatch.delenv("HOURGLASS_OPTUNA_STORAGE", raising=False)


@pytest.fixture
def folder(stage_folder):
    """Return a working folder with prepared digits, trained for two epochs."""
    prepare("digits")
    return stage_folder


@pytest.fixture
def space_of(workspace):
    """Return a function that writes a space and reads it for a variant on 8 x 8 images."""

    def read(text: str, model: str = "denoising") -> Space:
        path = workspace / "configs/tune/space/mine.yaml"
        path.write_text(text, encoding="utf-8")
        settings = resolve_cell(Cell("digits", model), (1, 8, 8), 700)
        kind = import_class(settings.class_path, LitAutoencoder, model)
        return read_space(path.relative_to(workspace), kind, settings)

    return read


@pytest.fixture
def study(workspace) -> optuna.Study:
    """Return an empty study in the storage of the working folder."""
    return studies.create("digits-denoising-detection-0", {"seed": 0}, Detection(), {})
