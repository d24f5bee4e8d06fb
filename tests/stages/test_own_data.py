"""A user's own tables and images, with and without labels, through every stage."""

import json
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from hourglass.evaluation.baselines import BASELINES
from hourglass.stages.baselines import baselines
from hourglass.stages.compare import compare
from hourglass.stages.prepare import prepare
from tests.stages.cells import no_figures, run_cell
from tests.workspaces import FakeRecorder, set_up, set_yaml, working_in

EPOCHS = 2


def own_table(folder: Path, **init_args: Any) -> str:
    """Write a table of 150 rows, 10 of them anomalous, and its settings; return its name."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, 4)) * [1, 10, 100, 1000]
    x[140:, 0] += 8
    frame = pd.DataFrame(x, columns=["a", "b", "c", "d"])
    frame["kind"] = ["good"] * 140 + ["bad"] * 10
    (folder / "data/own").mkdir(parents=True, exist_ok=True)
    frame.to_csv(folder / "data/own/mine.csv", index=False)
    init_args = {"path": "data/own/mine.csv", **init_args}
    return configure(folder, "mine", "hourglass.data.table.Table", init_args)


def own_images(folder: Path, **init_args: Any) -> str:
    """Write 150 colour images, 10 of them anomalous, and their settings; return their name."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 90, (150, 7, 5, 3), dtype=np.uint8)
    x[140:] += 150
    (folder / "data/own").mkdir(parents=True, exist_ok=True)
    np.savez(folder / "data/own/mine.npz", x=x, y=np.array(["good"] * 140 + ["bad"] * 10))
    init_args = {"path": "data/own/mine.npz", **init_args}
    return configure(folder, "mine", "hourglass.data.images.Images", init_args)


def configure(folder: Path, name: str, class_path: str, init_args: dict[str, Any]) -> str:
    path = folder / f"configs/data/{name}.yaml"
    set_yaml(path, "class_path", value=class_path)
    set_yaml(path, "init_args", value=init_args)
    set_yaml(path, "model", value={"latent_dim": 2, "hidden": [4], "channels": [2, 3]})
    set_yaml(path, "training", value={"batch_size": 32, "max_epochs": EPOCHS, "patience": 5})
    set_yaml(folder / "params.yaml", "data", value=[name])
    set_yaml(folder / "params.yaml", "models", value=ON_OWN)
    return name


# One variant per kind of network; the others differ in their training only.
ON_OWN = ["denoising", "convolutional", "variational"]
OWN: dict[str, tuple[Callable[..., str], dict[str, Any]]] = {
    "table": (own_table, {"label": "kind", "normal": "good"}),
    "table without labels": (own_table, {"drop": ["kind"]}),
    "images": (own_images, {"normal": "good"}),
    "images without labels": (own_images, {}),
}
WITHOUT_LABELS = [kind for kind in OWN if "without" in kind]


@dataclass(frozen=True)
class Ran:
    """The outcome of one kind of own data with every variant."""

    folder: Path
    messages: list[str]  # the warnings

    def metrics(self, model: str) -> dict[str, float]:
        return json.loads((self.folder / f"runs/mine/{model}/evaluate/metrics.json").read_text())

    def leaderboard(self) -> pd.DataFrame:
        return pd.read_csv(self.folder / "reports/leaderboard.csv")


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> dict[str, Ran]:
    """Give the user's own data of every kind, each after all stages with every variant."""
    found = {}
    for kind, (make, init_args) in OWN.items():
        folder = set_up(tmp_path_factory.mktemp("own") / "workspace", EPOCHS)
        data = make(folder, **init_args)
        with working_in(folder, FakeRecorder()), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            prepare(data)
            baselines(data)
            for model in ON_OWN:
                with nullcontext() if model == "denoising" else no_figures():
                    run_cell(data, model)
            compare()
        messages = [
            str(each.message)
            for each in caught
            if not issubclass(each.category, DeprecationWarning)
            and "LeafSpec" not in str(each.message)
        ]
        found[kind] = Ran(folder, messages)
    return found


@pytest.mark.parametrize("kind", OWN)
def test_own_data_pass_every_stage_without_a_warning(own, kind):
    assert own[kind].messages == []


@pytest.mark.parametrize("kind", OWN)
def test_own_data_are_in_the_leaderboard(own, kind):
    table = own[kind].leaderboard()
    assert sorted(table[~table.baseline].model) == sorted(ON_OWN)
    assert set(table[table.baseline].model) == {"pca", *BASELINES}
    assert table.false_alarm_rate.notna().all()


@pytest.mark.parametrize("kind", [kind for kind in OWN if kind not in WITHOUT_LABELS])
@pytest.mark.parametrize("model", ON_OWN)
def test_own_data_with_labels_have_an_auroc(own, kind, model):
    assert 0 <= own[kind].metrics(model)["AUROC"] <= 1


@pytest.mark.parametrize("kind", WITHOUT_LABELS)
@pytest.mark.parametrize("model", ON_OWN)
def test_data_without_anomalies_have_a_false_alarm_rate_and_no_auroc(own, kind, model):
    metrics = own[kind].metrics(model)
    assert 0 <= metrics["false_alarm_rate"] <= 1
    assert not metrics.keys() & {
        "AUROC",
        "average_precision",
        "recall",
        "reconstruction_error_anomalous",
    }


@pytest.mark.parametrize("kind", WITHOUT_LABELS)
def test_curves_of_data_without_anomalies_are_empty(own, kind):
    for name in ("roc.csv", "precision_recall.csv"):
        curve = pd.read_csv(own[kind].folder / "runs/mine/denoising/evaluate" / name)
        assert not curve.get("recall", pd.Series(dtype=float)).notna().any(), name


def test_data_with_and_without_anomalies_share_a_leaderboard(stage_folder, recorder):
    data = own_table(stage_folder, drop=["kind"])
    set_yaml(stage_folder / "params.yaml", "data", value=["digits", data])
    set_yaml(stage_folder / "params.yaml", "models", value=["linear"])
    for each in ("digits", data):
        prepare(each)
        baselines(each)
        with no_figures():
            run_cell(each, "linear")
    table = pd.read_csv(compare()).set_index("data")
    assert table.AUROC.notna().loc["digits"].all()
    assert table.AUROC.isna().loc[data].all()


def test_own_data_need_no_settings_beyond_their_file(stage_folder, recorder):
    data = own_table(stage_folder, label="kind", normal="good")
    path = stage_folder / f"configs/data/{data}.yaml"
    config = yaml.safe_load(path.read_text())
    del config["model"]
    config["training"] = {"max_epochs": 1}
    path.write_text(yaml.safe_dump(config))
    prepare(data)
    with no_figures():
        run_cell(data, "linear")
    assert (stage_folder / f"runs/{data}/linear/evaluate/metrics.json").exists()
