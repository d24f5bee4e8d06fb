"""Command `promote`: versions in MLflow's registry on SQLite, and the choice of the champion."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hosting import processes
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score

from hourglass.cli.promote import promote
from hourglass.core.atomic import sha256, write_json
from hourglass.core.paths import Cell, prepared_folder
from hourglass.data.prepared_data import Prepared, write_data_card
from hourglass.detection.detector import Detector
from hourglass.networks import Dense
from hourglass.networks.weights import SETTINGS, write
from hourglass.stages.calibrate_threshold import calibrate_threshold
from hourglass.stages.prepare import prepare
from tests.workspaces import FakeRecorder, environment, set_up, update_card, working_in

DATA = "breast_cancer"
WORST, BEST = (DATA, "wide"), (DATA, "narrow")
LATENT_DIMS = {WORST: 29, BEST: 3}  # a wide bottleneck reconstructs anomalies too
NAME = f"hourglass-{DATA}"


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """Give two calibrated cells with the weights of a PCA, which takes less time than training."""
    folder = set_up(tmp_path_factory.mktemp("promote") / "workspace")
    with working_in(folder, FakeRecorder()):
        prepare(DATA)
        for (data, model), latent_dim in LATENT_DIMS.items():
            write_training(Cell(data, model), latent_dim)
            calibrate_threshold(data, model)
    return folder


def write_training(cell: Cell, latent_dim: int) -> None:
    """Write the output folder of `train`."""
    prepared = Prepared.open(cell.prepared)
    pca = PCA(latent_dim).fit(prepared.scaling(prepared.x("train")))
    basis, mean = (torch.tensor(array.copy()) for array in (pca.components_, pca.mean_))
    network = Dense(prepared.sample_shape, latent_dim)
    weights = [basis.contiguous(), -basis @ mean, basis.T.contiguous(), mean]
    names = ["encoder.1.weight", "encoder.1.bias", "decoder.0.weight", "decoder.0.bias"]
    settings = {"data": cell.data, "model": cell.model, "seed": 0}
    settings |= {key: {} for key in ("init_args", "training", "trainer")}
    for folder in (cell.output("train"), cell.tracking):
        folder.mkdir(parents=True)
    (cell / "train/settings.yaml").write_text(yaml.safe_dump(settings))
    network.load_state_dict(dict(zip(names, weights, strict=True)))
    write(network, cell.output("train"), SETTINGS)
    write_json(cell / "train/training.json", {})
    (cell / "train/history.csv").write_text("epoch,validation_error\n0,1.0\n")
    (cell / "tracking/run_id").write_text("0" * 32)


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory) -> Path:
    """Give a database with MLflow's empty tables, which take seconds to create."""
    from hourglass.tracking.connection import connect

    folder = tmp_path_factory.mktemp("store")
    with working_in(folder):
        connect(folder)
    return folder / "mlflow.db"


@pytest.fixture
def here(trained, empty_store, tmp_path) -> Iterator[Path]:
    """Work in a copy of the cells with an empty registry."""
    folder = Path(shutil.copytree(trained, tmp_path / "workspace"))
    shutil.copy(empty_store, folder)
    with working_in(folder):
        yield folder


def client(folder: Path) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(f"sqlite:///{folder}/mlflow.db?timeout=60")


def champion(folder: Path) -> str:
    """Return the version that the alias names; SQLite returns a number."""
    return str(client(folder).get_model_version_by_alias(NAME, "champion").version)


def versions(folder: Path) -> dict[str, dict[str, str]]:
    """Return the tags of all versions."""
    found = client(folder).search_model_versions(f"name = '{NAME}'")
    return {str(version.version): version.tags for version in found}


def test_only_a_better_detector_replaces_the_champion(here):
    first = promote(*WORST)
    assert "version 1 (breast_cancer-wide) is now champion, as the first one" in first
    second = promote(*BEST)
    assert "version 2 (breast_cancer-narrow) is now champion instead of" in second
    assert "lies above 0" in second
    assert "is already champion" in promote(*BEST)
    third = promote(*WORST)
    assert "version 2 (breast_cancer-narrow) remains champion, not version 1" in third
    assert "does not lie above 0" in third
    assert champion(here) == "2"
    assert "by force" in promote(*WORST, force=True)
    assert champion(here) == "1"

    tags, cell = versions(here), Cell(*BEST)
    assert tags.keys() == {"1", "2"}
    assert tags["2"]["decision"] == second
    assert tags["2"]["cell"] == cell.name
    prepared = Prepared.open(prepared_folder(DATA))
    assert tags["2"]["data_sha256"] == prepared.card["sha256"]
    assert tags["2"]["weights_sha256"] == sha256(cell / "train/weights.safetensors")
    assert {"AUROC", "average_precision", "git_commit"} <= tags["2"].keys()
    printed = [float(number) for number in re.findall(r"\d\.\d{4}", second)[:2]]
    test = prepared.split("test")
    for number, other in zip(printed, (BEST, WORST), strict=True):
        scores = Detector.of_cell(Cell(*other)).scoring(test.x)
        assert number == round(roc_auc_score(test.anomaly, scores), 4)


def change_data(**entries: Any) -> None:
    folder = prepared_folder(DATA)
    write_data_card(folder, Prepared.open(folder).card | entries)


@pytest.mark.slow
def test_detectors_of_other_samples_are_not_compared(here):
    promote(*WORST)
    change_data(sha256="0" * 64)
    decision = promote(*BEST)
    assert "cannot be compared" in decision
    assert "--force" in decision
    assert champion(here) == "1"
    promote(*BEST, force=True)
    assert champion(here) == "2"


@pytest.mark.slow
def test_missing_files_of_the_champion_are_reported(here, empty_store, refusal):
    promote(*WORST)
    shutil.rmtree(empty_store.with_name("mlruns"))
    assert f"the files of {NAME} version 1 cannot be downloaded" in refusal(promote, *BEST)


@pytest.mark.slow
def test_the_alias_loads_the_champion(here):
    import mlflow

    promote(*BEST)
    mlflow.set_tracking_uri(f"sqlite:///{here}/mlflow.db")
    pyfunc = mlflow.pyfunc.load_model(f"models:/{NAME}@champion")
    assert len(pyfunc.predict(pyfunc.input_example)) == 1


def test_a_comparison_needs_labelled_anomalies(here, refusal):
    path = prepared_folder(DATA) / "test/anomaly.npy"
    np.save(path, np.zeros_like(np.load(path)))
    update_card(prepared_folder(DATA))
    assert "no labelled anomalies" in refusal(promote, *BEST)
    promote(*BEST, force=True)
    assert champion(here) == "1"
    assert "AUROC" not in versions(here)["1"]


def test_a_cell_with_other_data_is_refused(here, refusal):
    change_data(feature_names=["a", "b"])
    assert "calibrated on data other" in refusal(promote, *BEST)


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Run an MLflow server that serves artifacts; give its URL."""
    port, pid_file, log = processes.free_port(), folder / "pid", folder / "log"
    command = ["mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/server.db"]
    command += ["--artifacts-destination", str(folder / "artifacts"), "--serve-artifacts"]
    processes.start(command, pid_file, log, environment())
    try:
        processes.wait_for(lambda: "startup complete" in log.read_text(), pid_file, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        processes.stop(pid_file)


@pytest.mark.servers
def test_a_server_behaves_as_sqlite(trained, tmp_path, monkeypatch):
    from mlflow import MlflowClient
    from mlflow.pyfunc import load_model

    folder = Path(shutil.copytree(trained, tmp_path / "workspace"))
    with server(tmp_path) as url, working_in(folder):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
        assert "as the first one" in promote(*WORST)
        assert "lies above 0" in promote(*BEST)
        assert "is already champion" in promote(*BEST)
        registry = MlflowClient(url)
        found = registry.get_model_version_by_alias(NAME, "champion")
        assert found.tags["cell"] == Cell(*BEST).name
        assert len(registry.search_model_versions(f"name = '{NAME}'")) == 2
        assert len(load_model(f"models:/{NAME}@champion").input_example) == 1
    assert not (folder / "mlflow.db").exists()
