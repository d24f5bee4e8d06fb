"""Fixtures of all tests: working folders, user-provided data sets, variants and data sets."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from hourglass.core.errors import UserError
from tests import workspaces
from tests.workspaces import (
    RECORDING,
    FakeRecorder,
    Project,
    copy_repository,
    set_up,
    working_in,
)

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# One thread: tiny networks are slower on more, and much slower where other tests want the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).parents[1]
# A new variant or data set is tested as soon as its YAML file exists.
DATA = sorted(path.stem for path in (ROOT / "configs/data").glob("*.yaml"))


@pytest.fixture(autouse=True)
def _no_progress_lines(monkeypatch) -> None:
    """Print no progress, whose lines depend on the load of the machine."""
    monkeypatch.setattr("hourglass.core.progress.FIRST_SECONDS", 3600)


@pytest.fixture(params=workspaces.ALL_VARIANTS)
def variant(request) -> str:
    """Return the name of a variant for images or tables; the test runs once per variant."""
    return request.param


@pytest.fixture(params=DATA)
def data_name(request) -> str:
    """Return the name of a data set; the test runs once per data set."""
    return request.param


@pytest.fixture(scope="session")
def repository() -> Path:
    """Return the root folder of the repository, for reading only."""
    return ROOT


@pytest.fixture
def workspace(tmp_path, monkeypatch) -> Path:
    """Return a working folder that holds only the settings, in which a stage can run."""
    for name in ("HOURGLASS_DATA", "MLFLOW_TRACKING_URI", "DVC_ROOT"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "workspace"
    shutil.copytree(ROOT / "configs", folder / "configs")
    shutil.copy(ROOT / "params.yaml", folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def set_yaml(workspace) -> Callable[..., None]:
    """Return a function that sets the value at a path of keys in a YAML file of the workspace."""

    def write(path: str, *keys: str, value: Any) -> None:
        workspaces.set_yaml(workspace / path, *keys, value=value)

    return write


@pytest.fixture
def own_table(workspace, set_yaml) -> str:
    """Return the name of a user-provided table: 6 features, 120 normal and 12 anomalous rows.

    In the anomalous rows features `a` and `b` are shifted by 5 standard deviations.
    """
    rng = np.random.default_rng(0)
    x = rng.normal(size=(132, 6)) @ np.diag([1, 2, 3, 4, 5, 6])
    x[120:, :2] += 5 * np.array([1, 2])
    frame = pd.DataFrame(x, columns=list("abcdef"))
    frame["kind"] = ["good"] * 120 + ["bad"] * 12
    _configure(set_yaml, "own_table", "table.Table", "own_table.csv", label="kind")
    frame.to_csv(workspace / "data/own/own_table.csv", index=False)
    return "own_table"


@pytest.fixture
def own_images(workspace, set_yaml) -> str:
    """Return the name of user-provided images, 3 x 6 x 5: 120 normal and 12 anomalous ones.

    Normal images are dark, anomalous ones bright.
    """
    rng = np.random.default_rng(0)
    x = rng.integers(0, 100, (132, 6, 5, 3), dtype=np.uint8)
    x[120:] += 150
    y = np.array(["good"] * 120 + ["bad"] * 12)
    _configure(set_yaml, "own_images", "images.Images", "own_images.npz")
    np.savez(workspace / "data/own/own_images.npz", x=x, y=y)
    return "own_images"


def _configure(
    set_yaml: Callable[..., None], name: str, kind: str, file: str, **init_args: str
) -> None:
    """Write the settings of a user-provided data set, and create the folder of its file."""
    Path("data/own").mkdir(parents=True, exist_ok=True)
    settings = {
        "class_path": f"hourglass.data.{kind}",
        "init_args": {"path": f"data/own/{file}", "normal": "good", **init_args},
        "model": {"latent_dim": 2, "hidden": [4], "channels": [2, 3]},
        "training": {"batch_size": 32, "max_epochs": 2, "patience": 2},
    }
    for key, value in settings.items():
        set_yaml(f"configs/data/{name}.yaml", key, value=value)


TINY = {"latent_dim": 3, "hidden": [8], "channels": [4, 8], "schedule": "constant"}


@pytest.fixture(scope="session")
def build() -> Callable[..., Any]:
    """Return a function that builds a small, seeded variant from its YAML file and `settings`."""

    def make(variant: str, sample_shape: tuple[int, ...], **settings: Any) -> Any:
        import torch

        from hourglass.core.yaml_config import construct, import_class, resolve
        from hourglass.models.base import LitAutoencoder
        from hourglass.training.cell_settings import suited_to

        path = ROOT / "configs/model" / f"{variant}.yaml"
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        kind = import_class(config["class_path"], LitAutoencoder, variant)
        values = suited_to(kind, TINY, variant) | (config.get("init_args") or {}) | settings
        torch.manual_seed(0)
        fixed = {"sample_shape": list(sample_shape)}
        return construct(kind, resolve(kind, values, variant, fixed), variant)

    return make


@pytest.fixture
def refusal() -> Callable[..., str]:
    """Return a function that calls `action` and returns the message of its UserError."""

    def call(action: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
        with pytest.raises(UserError) as caught:
            action(*args, **kwargs)
        message = str(caught.value)
        assert message.endswith((".", "?"))
        assert ". " not in message
        assert "\n" not in message
        return message

    return call


@pytest.fixture(scope="session")
def snapshot(tmp_path_factory) -> Path:
    """Return a copy of the repository, made when the tests begin; tests do not write to it."""
    return copy_repository(tmp_path_factory.mktemp("snapshot")).folder


@pytest.fixture(scope="session")
def new_project(snapshot, tmp_path_factory) -> Callable[[], Project]:
    """Return a function that copies the repository; tests may write to the copy."""

    def make() -> Project:
        folder = tmp_path_factory.mktemp("project") / "hourglass"
        return Project(Path(shutil.copytree(snapshot, folder)))

    return make


@pytest.fixture
def project(new_project) -> Project:
    """Return a copy of the repository."""
    return new_project()


@pytest.fixture
def stage_folder(tmp_path):
    """Yield a working folder for stages of this process, which is the current folder."""
    folder = set_up(tmp_path / "workspace")
    with working_in(folder):
        yield folder


@pytest.fixture
def recorder(monkeypatch) -> FakeRecorder:
    """Return a test double that keeps the records of stages of this process in memory."""
    fake = FakeRecorder()
    for module in RECORDING:
        monkeypatch.setattr(f"{module}.recording", fake)
    return fake
