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

from hourglass.evaluation.baselines import BASELINES
from hourglass.stages.baselines import baselines
from hourglass.stages.compare import compare
from hourglass.stages.prepare import prepare
from tests.stages.cells import no_figures, run_cell
from tests.workspaces import FakeRecorder, set_up, set_yaml, working_in

EPOCHS = 2
# One variant per kind of network; the others differ in their training only.
VARIANTS = ["denoising", "convolutional", "variational"]
SMALL = {"latent_dim": 2, "hidden": [4], "channels": [2, 3]}


def own_table(folder: Path) -> str:
    """Write a table of 150 rows, 10 of them anomalous; return the class that reads it."""
    x = np.random.default_rng(0).normal(size=(150, 4)) * [1, 10, 100, 1000]
    x[140:, 0] += 8
    frame = pd.DataFrame(x, columns=list("abcd")).assign(kind=["good"] * 140 + ["bad"] * 10)
    frame.to_csv(folder / "mine.csv", index=False)
    return "hourglass.data.table.Table"


def own_images(folder: Path) -> str:
    """Write 150 colour images, 10 of them anomalous; return the class that reads them."""
    x = np.random.default_rng(0).integers(0, 90, (150, 7, 5, 3), dtype=np.uint8)
    x[140:] += 150
    np.savez(folder / "mine.npz", x=x, y=np.array(["good"] * 140 + ["bad"] * 10))
    return "hourglass.data.images.Images"


def add_own(folder: Path, write: Callable[[Path], str], **init_args: Any) -> None:
    """Add the data set `mine` to a workspace."""
    own = folder / "data/own"
    own.mkdir(parents=True)
    path = folder / "configs/data/mine.yaml"
    set_yaml(path, "class_path", value=write(own))
    (file,) = own.iterdir()
    set_yaml(path, "init_args", value={"path": f"data/own/{file.name}", **init_args})
    set_yaml(path, "training", value={"batch_size": 32, "max_epochs": EPOCHS, "patience": 5})


OWN: dict[str, tuple[Callable[..., str], dict[str, Any]]] = {
    "table": (own_table, {"label": "kind", "normal": "good"}),
    "table without labels": (own_table, {"drop": ["kind"]}),
    "images": (own_images, {"normal": "good"}),
    "images without labels": (own_images, {}),
}


@dataclass(frozen=True)
class Ran:
    """The outcome of one kind of own data with every variant."""

    labelled: bool
    metrics: dict[str, dict[str, float]]  # by variant
    leaderboard: pd.DataFrame
    curves: list[pd.DataFrame]
    warnings: list[str]


@pytest.fixture(scope="module", params=OWN)
def ran(request, tmp_path_factory) -> Ran:
    """Give each kind of own data after all stages with every variant."""
    write, init_args = OWN[request.param]
    folder = set_up(tmp_path_factory.mktemp("own") / "workspace", EPOCHS)
    add_own(folder, write, **init_args)
    set_yaml(folder / "configs/data/mine.yaml", "model", value=SMALL)
    set_yaml(folder / "params.yaml", "data", value=["mine"])
    set_yaml(folder / "params.yaml", "models", value=VARIANTS)
    with working_in(folder, FakeRecorder()), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        prepare("mine")
        baselines("mine")
        for model in VARIANTS:
            with nullcontext() if model == "denoising" else no_figures():
                run_cell("mine", model)
        leaderboard = pd.read_csv(compare())
    messages = [
        str(warning.message)
        for warning in caught
        if not issubclass(warning.category, DeprecationWarning)
        and "LeafSpec" not in str(warning.message)
    ]
    evaluated = {model: folder / f"runs/mine/{model}/evaluate" for model in VARIANTS}
    metrics = {
        model: json.loads((path / "metrics.json").read_text()) for model, path in evaluated.items()
    }
    names = ("roc.csv", "precision_recall.csv")
    curves = [pd.read_csv(evaluated["denoising"] / name) for name in names]
    return Ran("without" not in request.param, metrics, leaderboard, curves, messages)


def test_own_data_pass_every_stage_without_a_warning(ran):
    assert ran.warnings == []


def test_own_data_are_in_the_leaderboard(ran, request):
    table = ran.leaderboard
    of_tables = set() if "images" in request.node.name else {"marginal_frequencies"}
    assert sorted(table[~table.baseline].model) == sorted(VARIANTS)
    assert set(table[table.baseline].model) == {"pca", *BASELINES} | of_tables
    assert table.false_alarm_rate.notna().all()


def test_only_data_with_labelled_anomalies_have_an_auroc_and_curves(ran):
    of_anomalies = {"AUROC", "average_precision", "recall", "reconstruction_error_anomalous"}
    for metrics in ran.metrics.values():
        assert 0 <= metrics["false_alarm_rate"] <= 1
        assert metrics.keys() & of_anomalies == (of_anomalies if ran.labelled else set())
        assert 0 <= metrics.get("AUROC", 0) <= 1
    for curve in ran.curves:
        assert curve.get("recall", pd.Series(dtype=float)).notna().any() == ran.labelled


def test_data_with_and_without_anomalies_share_a_leaderboard(stage_folder, recorder):
    add_own(stage_folder, own_table, drop=["kind"])  # without a section `model`
    set_yaml(stage_folder / "params.yaml", "data", value=["digits", "mine"])
    set_yaml(stage_folder / "params.yaml", "models", value=["denoising"])
    for data in ("digits", "mine"):
        prepare(data)
        baselines(data)
        with no_figures():
            run_cell(data, "denoising")
    table = pd.read_csv(compare()).set_index("data")
    assert table.AUROC.notna().loc["digits"].all()
    assert table.AUROC.isna().loc["mine"].all()
