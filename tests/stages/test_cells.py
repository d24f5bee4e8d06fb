"""Six representative cells through every stage: each kind of network, on images and on a table."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from hourglass.data.prepared_data import Prepared
from hourglass.detection.calibrators import Conformal, MaxF1
from hourglass.evaluation.baselines import BASELINES
from hourglass.evaluation.metrics import precision_recall_curve
from hourglass.stages.baselines import baselines
from hourglass.stages.calibrate_threshold import calibrate_threshold
from hourglass.stages.compare import compare
from hourglass.stages.evaluate import evaluate
from hourglass.stages.prepare import prepare
from hourglass.stages.train import train
from tests.stages.cells import run_cell
from tests.workspaces import (
    BOLTS,
    ROOT,
    FakeRecorder,
    calibrated,
    lean,
    set_up,
    set_yaml,
    update_card,
    working_in,
)

EPOCHS = 2
GRID = {
    "digits": ["denoising", "convolutional", "variational"],
    "breast_cancer": ["linear", "convolutional", "stacked"],
}
CELLS = [f"{data}/{model}" for data, variants in GRID.items() for model in variants]
TWICE = ["digits/denoising", "breast_cancer/stacked"]  # cells that run in two workspaces
FILES = {
    "train": "weights.safetensors network.json settings.yaml history.csv training.json",
    "calibrate": "threshold.json thresholds.json detector.json reference.safetensors",
    "evaluate": "metrics.json scores.parquet thresholds.csv by_class.csv mistakes.csv roc.csv "
    "precision_recall.csv inputs.json",
}


def run_grid(folder: Path, cells: list[str]) -> Path:
    """Run cells, and the baselines of their data sets, through all stages but the comparison."""
    with working_in(set_up(folder, EPOCHS), FakeRecorder()):
        for data in GRID:
            prepare(data)
            baselines(data)
        for cell in cells:
            run_cell(*cell.split("/"))
    return folder


@pytest.fixture(scope="module")
def grid(tmp_path_factory) -> Path:
    """Give a workspace in which the six cells went through all stages."""
    return run_grid(tmp_path_factory.mktemp("grid") / "workspace", CELLS)


@pytest.fixture(scope="module")
def again(tmp_path_factory) -> Path:
    """Give another workspace, in which two of the cells did so as well."""
    return run_grid(tmp_path_factory.mktemp("again") / "workspace", TWICE)


@dataclass(frozen=True)
class Ran:
    """The files of a cell that went through all stages."""

    workspace: Path
    name: str

    @property
    def folder(self) -> Path:
        return self.workspace / "runs" / self.name

    @property
    def prepared(self) -> Prepared:
        return Prepared.open(self.workspace / "data/prepared" / self.name.split("/")[0])

    def json(self, file: str) -> dict[str, Any]:
        return json.loads((self.folder / file).read_text())

    def csv(self, file: str) -> pd.DataFrame:
        return pd.read_csv(self.folder / file)

    def scores(self, split: str) -> pd.DataFrame:
        table = pd.read_parquet(self.folder / "evaluate/scores.parquet")
        return table[table.split == split]


@pytest.fixture(params=CELLS)
def cell(grid, request) -> Ran:
    """Give every cell in turn."""
    return Ran(grid, request.param)


@pytest.fixture
def test_scores(cell) -> pd.DataFrame:
    return cell.scores("test")


@pytest.fixture
def metrics(cell) -> dict[str, float]:
    return cell.json("evaluate/metrics.json")


def test_each_stage_writes_its_files_and_leaves_nothing_temporary(cell):
    for stage, names in FILES.items():
        assert all((cell.folder / stage / name).stat().st_size for name in names.split())
    assert not [path.name for path in cell.folder.rglob("*") if path.name.startswith(".")]


def test_every_figure_shows_something(cell, test_scores):
    figures = {path.stem: path for path in (cell.folder / "evaluate/figures").iterdir()}
    assert figures.keys() >= {"reconstructions", "histogram", "roc", "precision_recall"}
    assert ("mistakes" in figures) == (test_scores.alarm != test_scores.anomaly).any()
    assert ("samples" in figures) == (cell.name == "digits/variational")
    for path in figures.values():
        with Image.open(path) as image:
            assert np.asarray(image).std() > 1, path


def test_the_worst_mistakes_are_listed_with_their_reasons(cell, test_scores):
    table, alarm = cell.csv("evaluate/mistakes.csv"), test_scores.alarm
    anomaly = test_scores.anomaly
    wrong = {"false alarm": alarm & ~anomaly, "miss": ~alarm & anomaly}
    for kind, chosen in wrong.items():
        rows = table[table.mistake == kind]
        expected = test_scores[chosen].sort_values("score", ascending=kind == "miss").score[:50]
        np.testing.assert_allclose(rows.score, expected)
        assert rows.p_value.between(0, 1).all()
    if len(table) and cell.name.startswith("breast_cancer"):
        assert (table.contribution_1 >= table.contribution_2).all()
        assert (table.feature_1 != table.feature_2).all()


def test_each_class_has_its_own_alarm_rate(cell, test_scores):
    table = cell.csv("evaluate/by_class.csv")
    for row in table.to_dict("records"):
        chosen = test_scores[test_scores.label == str(row["label"])]
        assert row["samples"] == len(chosen)
        assert row["alarm_rate"] == pytest.approx(chosen.alarm.mean())
    assert table.samples.sum() == len(test_scores)


def test_metrics_equal_scikit_learns_on_the_test_split(metrics, test_scores):
    truth, alarm, score = (test_scores[key] for key in ("anomaly", "alarm", "score"))
    expected = {
        "AUROC": roc_auc_score(truth, score),
        "average_precision": average_precision_score(truth, score),
        "prevalence": truth.mean(),
        "precision": precision_score(truth, alarm),
        "recall": recall_score(truth, alarm),
        "F1": f1_score(truth, alarm),
        "false_alarm_rate": 1 - recall_score(~truth, ~alarm),
    }
    assert {key: metrics[key] for key in expected} == pytest.approx(expected, rel=1e-9)


def test_reconstruction_errors_are_those_of_the_saved_network(cell, metrics):
    import torch

    from hourglass.networks.weights import load

    test = cell.prepared.split("test")
    x = torch.from_numpy(cell.prepared.scaling(np.asarray(test.x))).float()
    network = load(cell.folder / "train")
    with torch.inference_mode():
        errors = ((network(x) - x) ** 2).flatten(1).mean(1).double().numpy()
    assert metrics["reconstruction_error_normal"] == pytest.approx(errors[~test.anomaly].mean())
    assert metrics["reconstruction_error_anomalous"] == pytest.approx(errors[test.anomaly].mean())


def test_thresholds_come_from_the_calibration_and_the_tuning_split_alone(cell, test_scores):
    threshold = cell.json("calibrate/threshold.json")
    calibration, tuning = cell.scores("calibration").score, cell.scores("tuning")
    assert threshold["n"] == len(calibration)
    assert threshold["value"] == Conformal(0.05)(calibration).value
    assert (test_scores.alarm == (test_scores.score > threshold["value"])).all()
    labelled = cell.csv("evaluate/thresholds.csv").set_index("calibrator").loc["max_f1"]
    expected = MaxF1()(tuning.score.to_numpy(), tuning.anomaly.to_numpy())
    assert labelled.threshold == pytest.approx(expected.value)
    assert labelled.n == len(tuning)


def test_each_calibrator_is_recorded_with_its_alarms(cell, test_scores):
    table = cell.csv("evaluate/thresholds.csv").set_index("calibrator")
    names = yaml.safe_load((ROOT / "configs/calibrators.yaml").read_text())
    assert list(table.index) == ["deployed", *names]
    for row in table.dropna(subset=["threshold"]).itertuples():
        alarm = test_scores.score > row.threshold
        assert row.recall == pytest.approx(alarm[test_scores.anomaly].mean())
        assert row.false_alarm_rate == pytest.approx(alarm[~test_scores.anomaly].mean())


def test_every_sample_outside_the_training_split_has_one_score(cell):
    for name in ("validation", "calibration", "tuning", "test"):
        part, rows = cell.prepared.split(name), cell.scores(name)
        assert rows.id.tolist() == part.id.tolist()
        assert rows.label.tolist() == part.label.tolist()
        assert rows.anomaly.tolist() == part.anomaly.tolist()
    assert cell.scores("train").empty


def test_the_score_of_a_sample_does_not_depend_on_the_others(cell, test_scores):
    from hourglass.detection.scorers import ModelScore
    from hourglass.detection.scoring import FittedScorer
    from hourglass.networks.weights import load

    scoring = FittedScorer(load(cell.folder / "train"), cell.prepared.scaling, ModelScore(), {})
    alone = scoring(cell.prepared.split("test").x[:1])
    assert alone[0] == pytest.approx(test_scores.score.iloc[0], rel=1e-5)


def test_curves_are_those_of_the_scores_on_the_test_split(cell, metrics, test_scores):
    roc, drawn = cell.csv("evaluate/roc.csv"), cell.csv("evaluate/precision_recall.csv")
    assert np.trapezoid(roc.recall, roc.false_positive_rate) == pytest.approx(metrics["AUROC"])
    expected = precision_recall_curve(test_scores.score.to_numpy(), test_scores.anomaly.to_numpy())
    pd.testing.assert_frame_equal(drawn, expected)


def test_history_has_one_row_per_epoch_and_the_best_epoch_is_kept(cell):
    history = cell.csv("train/history.csv")
    assert set(history.columns) >= {"train_loss", "validation_error", "learning_rate"}
    if "phase" in history:
        for _, rows in history.groupby("phase"):
            assert rows.epoch.tolist() == list(range(EPOCHS))
        history = history[history.phase.isna()]
    epochs = 1 if cell.name.endswith("/linear") else EPOCHS  # PCA needs one
    assert history.epoch.tolist() == list(range(epochs))
    error = cell.scores("validation").score.mean()
    assert error == pytest.approx(history.validation_error.min(), rel=1e-4)


def test_settings_are_resolved(cell):
    settings = yaml.safe_load((cell.folder / "train/settings.yaml").read_text())
    data, model = cell.name.split("/")
    assert (settings["data"], settings["model"], settings["seed"]) == (data, model, 0)
    assert settings["training"]["max_epochs"] == EPOCHS
    variant = yaml.safe_load((cell.workspace / f"configs/model/{model}.yaml").read_text())
    expected = {"learning_rate": 0.01 if data == "digits" else 0.003}
    expected |= variant.get("init_args") or {}
    assert settings["init_args"] | expected == settings["init_args"]


def test_timings_are_kept_apart_from_what_dvc_tracks(cell, metrics):
    for timing in (cell.json("tracking/train.json"), cell.json("tracking/evaluate.json")["score"]):
        assert timing["seconds"] > 0
        assert timing["samples_per_second"] > 0
    tracked = metrics.keys() | cell.json("train/training.json").keys()
    assert not {"seconds", "samples_per_second", "started"} & tracked


@pytest.mark.parametrize("name", TWICE)
def test_running_twice_gives_the_same_bytes(grid, again, name):
    """All that DVC tracks, figures included; run ids and timings are elsewhere."""
    first, second = grid / "runs" / name, again / "runs" / name
    paths = [path.relative_to(first) for path in first.rglob("*") if path.is_file()]
    for path in paths:
        if path.parts[0] != "tracking":
            assert (first / path).read_bytes() == (second / path).read_bytes(), path
    assert {path.parts[0] for path in paths} == {*FILES, "tracking"}


# The comparison


@pytest.fixture(scope="module")
def leaderboards(grid) -> dict[str, pd.DataFrame]:
    """Give the leaderboard of each data set; the reports of the last one stay in the workspace."""
    tables = {}
    with working_in(grid, FakeRecorder()):
        for data, variants in GRID.items():
            set_yaml(grid / "params.yaml", "data", value=[data])
            set_yaml(grid / "params.yaml", "models", value=variants)
            compare()
            tables[data] = pd.read_csv("reports/leaderboard.csv")
            lines = Path("reports/leaderboard.md").read_text().splitlines()
            assert sum(line.startswith("|") for line in lines) == len(tables[data]) + 2
    return tables


@pytest.fixture(params=GRID)
def board(leaderboards, request) -> tuple[str, pd.DataFrame]:
    """Give every data set with its leaderboard in turn."""
    return request.param, leaderboards[request.param]


def test_the_leaderboard_has_one_row_per_cell_with_its_metrics(grid, board):
    data, table = board
    rows = {row["model"]: row for row in table[~table.baseline].to_dict("records")}
    assert sorted(rows) == sorted(GRID[data])
    for model, row in rows.items():
        metrics = Ran(grid, f"{data}/{model}").json("evaluate/metrics.json")
        assert {key: row[key] for key in metrics} == metrics
    assert table.AUROC.is_monotonic_decreasing


def test_the_leaderboard_has_every_baseline_on_the_same_splits(board):
    _, table = board
    for name in BASELINES:
        (row,) = table[table.model == name].to_dict("records")
        assert row["baseline"]
        assert row["AUROC_low"] <= row["AUROC"] <= row["AUROC_high"]
        assert row["prevalence"] == pytest.approx(table.prevalence.iloc[0])


def test_pca_in_the_leaderboard_equals_scikit_learns(grid, board):
    data, table = board
    prepared = Prepared.open(grid / "data/prepared" / data)
    train, test = (
        prepared.scaling(np.asarray(split.x, np.float64)).reshape(len(split.x), -1)
        for split in map(prepared.split, ("train", "test"))
    )
    variants = table[~table.baseline]
    pca_rows = table[table.model == "pca"].set_index("latent_dim").AUROC
    possible = {size for size in variants.latent_dim if size <= min(train.shape)}
    assert sorted(pca_rows.index) == sorted(possible)
    for size, auroc in pca_rows.items():
        pca = PCA(int(size), svd_solver="full").fit(train)
        error = ((pca.inverse_transform(pca.transform(test)) - test) ** 2).mean(1)
        expected = roc_auc_score(prepared.split("test").anomaly, error)
        assert auroc == pytest.approx(expected, abs=1e-4)
    for row in variants.to_dict("records"):
        gain = row["AUROC"] - pca_rows.get(row["latent_dim"], pca_rows.max())
        assert row["AUROC_over_PCA"] == pytest.approx(gain)


def test_the_curves_for_dvc_are_those_of_the_cells(grid, leaderboards):
    data = list(GRID)[-1]  # compared last
    table = pd.read_csv(grid / f"reports/plots/roc/{data}.csv")
    assert list(table.columns) == ["false_positive_rate", *GRID[data]]
    for model in GRID[data]:
        metrics = Ran(grid, f"{data}/{model}").json("evaluate/metrics.json")
        area = np.trapezoid(table[model], table.false_positive_rate)
        assert area == pytest.approx(metrics["AUROC"], abs=0.01)


# Single properties


def test_a_calibrator_without_a_threshold_says_why_and_stops_nothing(
    stage_folder, recorder, refusal
):
    """A tuning split without anomalies has no best F1; only the deployed threshold must exist."""
    prepare("digits")
    train("digits", "linear")
    assert list(Path("checkpoints").rglob("*.ckpt"))
    anomaly = stage_folder / "data/prepared/digits/tuning/anomaly.npy"
    np.save(anomaly, np.zeros_like(np.load(anomaly)))
    update_card(stage_folder / "data/prepared/digits")
    calibrate_threshold("digits", "linear")
    assert not list(Path("checkpoints").rglob("*.ckpt"))  # removed once the threshold is set
    evaluate("digits", "linear")
    table = pd.read_csv("runs/digits/linear/evaluate/thresholds.csv").set_index("calibrator")
    assert "holds none" in table.refused["max_f1"]
    assert pd.isna(table.threshold["max_f1"])
    section = {"class_path": "hourglass.detection.calibrators.MaxF1"}
    set_yaml(stage_folder / "params.yaml", "calibration", value=section)
    assert "holds none" in refusal(calibrate_threshold, "digits", "linear")


@pytest.mark.slow
@pytest.mark.parametrize("model", BOLTS)
def test_bolts_models_go_through_every_stage_on_images(stage_folder, recorder, model):
    set_yaml(stage_folder / "configs/data/digits.yaml", "training", "max_epochs", value=1)
    prepare("digits")
    run_cell("digits", model)
    metrics = Path(f"runs/digits/{model}/evaluate/metrics.json")
    assert 0 <= json.loads(metrics.read_text())["AUROC"] <= 1


@pytest.mark.parametrize("model", BOLTS)
def test_bolts_models_reject_tables_before_training(stage_folder, recorder, refusal, model):
    prepare("breast_cancer")
    assert "images" in refusal(train, "breast_cancer", model)


def test_the_seed_alone_decides_the_weights(stage_folder, recorder):
    """Neither earlier random draws nor an earlier training; another seed gives other weights."""
    import torch

    prepare("digits")
    weights = train("digits", "denoising") / "weights.safetensors"
    before = weights.read_bytes()
    shutil.rmtree("checkpoints")
    torch.rand(17)
    train("digits", "denoising")
    assert weights.read_bytes() == before
    set_yaml(stage_folder / "params.yaml", "seed", value=1)
    train("digits", "denoising")
    assert weights.read_bytes() != before


@pytest.mark.slow
def test_stages_after_training_import_neither_lightning_nor_torchvision(stage_folder, recorder):
    calibrated(("digits", "linear"))
    baselines("digits")
    set_yaml(stage_folder / "params.yaml", "data", value=["digits"])
    set_yaml(stage_folder / "params.yaml", "models", value=["linear"])
    slow = ("sklearn", "scipy.stats")  # half as long as torch to import
    lean(stage_folder, "calibrate-threshold", "digits", "linear", without=slow)
    lean(stage_folder, "evaluate", "digits", "linear")
    lean(stage_folder, "compare")
