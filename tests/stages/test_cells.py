"""Six representative cells through every stage: each kind of network, on images and on a table."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
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
    reseal,
    set_up,
    set_yaml,
    working_in,
)

EPOCHS = 2
GRID = {
    "digits": ["denoising", "convolutional", "variational"],
    "breast_cancer": ["linear", "convolutional", "stacked"],
}
CELLS = [f"{data}/{model}" for data, variants in GRID.items() for model in variants]
TWICE = ["digits/denoising", "breast_cancer/stacked"]  # cells that run in two workspaces
every_cell = pytest.mark.parametrize("cell", CELLS)
FILES = [
    *("train/weights.safetensors", "train/network.json", "train/settings.yaml"),
    *("train/history.csv", "train/training.json"),
    *("calibrate/threshold.json", "calibrate/thresholds.json", "calibrate/detector.json"),
    "calibrate/reference.safetensors",
    *("evaluate/metrics.json", "evaluate/scores.parquet", "evaluate/thresholds.csv"),
    *("evaluate/by_class.csv", "evaluate/mistakes.csv", "evaluate/roc.csv"),
    *("evaluate/precision_recall.csv", "evaluate/inputs.json"),
]


def run_grid(folder: Path, cells: list[str]) -> None:
    """Run cells through all stages, and compare those of each data set."""
    with working_in(set_up(folder, EPOCHS), FakeRecorder()):
        for data in GRID:
            prepare(data)
            baselines(data)
        for cell in cells:
            run_cell(*cell.split("/"))


@pytest.fixture(scope="module")
def grid(tmp_path_factory) -> Path:
    """Give a workspace in which the six cells went through all stages."""
    folder = tmp_path_factory.mktemp("grid") / "workspace"
    run_grid(folder, CELLS)
    return folder


@pytest.fixture(scope="module")
def again(tmp_path_factory) -> Path:
    """Give another workspace, in which two of the cells did so as well."""
    folder = tmp_path_factory.mktemp("again") / "workspace"
    run_grid(folder, TWICE)
    return folder


@pytest.fixture(scope="module")
def leaderboards(grid) -> dict[str, pd.DataFrame]:
    """Give the leaderboard of each data set with its variants."""
    found = {}
    with working_in(grid, FakeRecorder()):
        for data, variants in GRID.items():
            set_yaml(grid / "params.yaml", "data", value=[data])
            set_yaml(grid / "params.yaml", "models", value=variants)
            compare()
            found[data] = pd.read_csv(grid / "reports/leaderboard.csv")
            rows = (grid / "reports/leaderboard.md").read_text().splitlines()
            assert sum(row.startswith("|") for row in rows) == len(found[data]) + 2
            found[f"{data} for DVC"] = json.loads((grid / "reports/metrics.json").read_text())
    return found


@pytest.fixture
def folder(grid, cell) -> Path:
    return grid / "runs" / cell


@pytest.fixture
def metrics(folder) -> dict[str, float]:
    return json.loads((folder / "evaluate/metrics.json").read_text())


@pytest.fixture
def scores(folder) -> pd.DataFrame:
    return pd.read_parquet(folder / "evaluate/scores.parquet")


@pytest.fixture
def test_scores(scores) -> pd.DataFrame:
    return scores[scores.split == "test"]


@pytest.fixture
def prepared(grid, cell) -> Prepared:
    return Prepared.open(grid / "data/prepared" / cell.split("/")[0])


@every_cell
def test_each_stage_writes_its_files_and_leaves_nothing_temporary(folder):
    assert [name for name in FILES if not (folder / name).stat().st_size] == []
    assert not [path.name for path in folder.rglob("*") if path.name.startswith(".")]


@every_cell
def test_every_figure_shows_something(folder, test_scores):
    figures = {path.stem: path for path in (folder / "evaluate/figures").iterdir()}
    assert figures.keys() >= {"reconstructions", "histogram", "roc", "precision_recall"}
    wrong = (test_scores.alarm != test_scores.anomaly).any()
    assert ("mistakes" in figures) == wrong
    for path in figures.values():
        with Image.open(path) as image:
            assert np.asarray(image).std() > 1, path


def test_samples_of_a_variational_network_are_drawn_if_they_are_images(grid):
    assert (grid / "runs/digits/variational/evaluate/figures/samples.png").exists()


@every_cell
def test_the_worst_mistakes_are_listed_with_their_reasons(cell, folder, test_scores):
    table, alarm = pd.read_csv(folder / "evaluate/mistakes.csv"), test_scores.alarm
    anomaly = test_scores.anomaly
    wrong = {"false alarm": alarm & ~anomaly, "miss": ~alarm & anomaly}
    for kind, chosen in wrong.items():
        rows = table[table.mistake == kind]
        expected = test_scores[chosen].sort_values("score", ascending=kind == "miss").score[:50]
        np.testing.assert_allclose(rows.score, expected)
        assert rows.p_value.between(0, 1).all()
    if len(table) and cell.startswith("breast_cancer"):
        assert (table.contribution_1 >= table.contribution_2).all()
        assert (table.feature_1 != table.feature_2).all()


@every_cell
def test_each_class_has_its_own_alarm_rate(folder, test_scores):
    table = pd.read_csv(folder / "evaluate/by_class.csv")
    for row in table.to_dict("records"):
        chosen = test_scores[test_scores.label == str(row["label"])]
        assert row["samples"] == len(chosen)
        assert row["alarm_rate"] == pytest.approx(chosen.alarm.mean())
    assert table.samples.sum() == len(test_scores)


@every_cell
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


@every_cell
def test_reconstruction_errors_are_those_of_the_saved_network(prepared, folder, metrics):
    import torch

    from hourglass.networks.weights import load

    test = prepared.split("test")
    x = torch.from_numpy(prepared.scaling(np.asarray(test.x))).float()
    network = load(folder / "train")
    with torch.inference_mode():
        errors = ((network(x) - x) ** 2).flatten(1).mean(1).double().numpy()
    assert metrics["reconstruction_error_normal"] == pytest.approx(errors[~test.anomaly].mean())
    assert metrics["reconstruction_error_anomalous"] == pytest.approx(errors[test.anomaly].mean())


@every_cell
def test_the_threshold_comes_from_the_calibration_scores_alone(folder, scores):
    threshold = json.loads((folder / "calibrate/threshold.json").read_text())
    calibration = scores[scores.split == "calibration"].score
    assert threshold["n"] == len(calibration)
    assert threshold["value"] == Conformal(0.05)(calibration).value
    assert (scores.alarm == (scores.score > threshold["value"])).all()


@every_cell
def test_each_calibrator_is_recorded_with_its_alarms(folder, test_scores):
    table = pd.read_csv(folder / "evaluate/thresholds.csv").set_index("calibrator")
    names = yaml.safe_load((ROOT / "configs/calibrators.yaml").read_text())
    assert list(table.index) == ["deployed", *names]
    for row in table.dropna(subset=["threshold"]).itertuples():
        alarm = test_scores.score > row.threshold
        assert row.recall == pytest.approx(alarm[test_scores.anomaly].mean())
        assert row.false_alarm_rate == pytest.approx(alarm[~test_scores.anomaly].mean())


@every_cell
def test_labelled_calibrators_use_the_tuning_split_alone(folder, scores):
    table = pd.read_csv(folder / "evaluate/thresholds.csv").set_index("calibrator")
    tuning = scores[scores.split == "tuning"]
    expected = MaxF1()(tuning.score.to_numpy(), tuning.anomaly.to_numpy())
    assert table.threshold["max_f1"] == pytest.approx(expected.value)
    assert table.n["max_f1"] == len(tuning)


@every_cell
def test_every_sample_outside_the_training_split_has_one_score(prepared, scores):
    for name in ("validation", "calibration", "tuning", "test"):
        part, rows = prepared.split(name), scores[scores.split == name]
        assert rows.id.tolist() == part.id.tolist()
        assert rows.label.tolist() == part.label.tolist()
        assert rows.anomaly.tolist() == part.anomaly.tolist()
    assert set(scores.split) == {"validation", "calibration", "tuning", "test"}


@every_cell
def test_the_score_of_a_sample_does_not_depend_on_the_others(prepared, folder, test_scores):
    from hourglass.detection.scorers import ModelScore
    from hourglass.detection.scoring import FittedScorer
    from hourglass.networks.weights import load

    scoring = FittedScorer(load(folder / "train"), prepared.scaling, ModelScore(), {})
    alone = scoring(prepared.split("test").x[:1])
    assert alone[0] == pytest.approx(test_scores.score.iloc[0], rel=1e-5)


@every_cell
def test_the_area_under_the_roc_curve_is_the_auroc(folder, metrics):
    curve = pd.read_csv(folder / "evaluate/roc.csv")
    area = np.trapezoid(curve.recall, curve.false_positive_rate)
    assert area == pytest.approx(metrics["AUROC"])


@every_cell
def test_each_point_of_the_precision_recall_curve_belongs_to_a_threshold(folder, test_scores):
    truth, score = test_scores.anomaly.to_numpy(), test_scores.score.to_numpy()
    reached = {(0.0, 1.0)}
    for threshold in np.unique(score):
        hits = (truth & (score >= threshold)).sum()
        reached.add((hits / truth.sum(), hits / (score >= threshold).sum()))
    drawn = pd.read_csv(folder / "evaluate/precision_recall.csv")
    expected = np.array(sorted(reached))
    for point in drawn[["recall", "precision"]].to_numpy():
        assert np.abs(expected - point).max(1).min() < 1e-12


@every_cell
def test_history_has_one_row_per_epoch_and_the_best_epoch_is_kept(folder, scores):
    history = pd.read_csv(folder / "train/history.csv")
    assert set(history.columns) >= {"train_loss", "validation_error", "learning_rate"}
    if "phase" in history:
        for _, rows in history.groupby("phase"):
            assert rows.epoch.tolist() == list(range(EPOCHS))
        history = history[history.phase.isna()]
    assert history.epoch.tolist() == list(range(EPOCHS))
    error = scores[scores.split == "validation"].score.mean()
    assert error == pytest.approx(history.validation_error.min(), rel=1e-4)


@every_cell
def test_settings_are_resolved(grid, cell, folder):
    settings = yaml.safe_load((folder / "train/settings.yaml").read_text())
    assert f"{settings['data']}/{settings['model']}" == cell
    assert settings["seed"] == 0
    assert settings["training"]["max_epochs"] == EPOCHS
    variant = yaml.safe_load((grid / "configs/model" / f"{settings['model']}.yaml").read_text())
    expected = {"learning_rate": 0.01 if settings["data"] == "digits" else 0.003}
    expected |= variant.get("init_args") or {}
    assert settings["init_args"] | expected == settings["init_args"]


@every_cell
def test_timings_are_kept_apart_from_what_dvc_tracks(folder, metrics):
    train, evaluate = (
        json.loads((folder / f"tracking/{stage}.json").read_text())
        for stage in ("train", "evaluate")
    )
    for timing in (train, evaluate["score"]):
        assert timing["seconds"] > 0
        assert timing["samples_per_second"] > 0
    training = json.loads((folder / "train/training.json").read_text())
    assert not {"seconds", "samples_per_second", "started"} & (metrics.keys() | training.keys())


@pytest.mark.parametrize("cell", TWICE)
def test_running_twice_gives_the_same_bytes(grid, again, cell):
    """All that DVC tracks, figures included; run ids and timings are elsewhere."""
    for stage in ("train", "calibrate", "evaluate"):
        one, two = (
            {
                path.relative_to(each / "runs" / cell / stage): path.read_bytes()
                for path in (each / "runs" / cell / stage).rglob("*")
                if path.is_file()
            }
            for each in (grid, again)
        )
        assert one == two


@pytest.mark.parametrize("data", GRID)
def test_the_leaderboard_has_one_row_per_cell_with_its_metrics(grid, leaderboards, data):
    table = leaderboards[data]
    rows = {row["model"]: row for row in table[~table.baseline].to_dict("records")}
    assert sorted(rows) == sorted(GRID[data])
    for model, row in rows.items():
        path = grid / f"runs/{data}/{model}/evaluate/metrics.json"
        metrics = json.loads(path.read_text())
        assert {key: row[key] for key in metrics} == metrics
        shown = leaderboards[f"{data} for DVC"][data][model]
        assert shown == {key: metrics[key] for key in shown}
        assert shown.keys() == {"AUROC", "average_precision", "false_alarm_rate", "F1"}
    assert table.AUROC.is_monotonic_decreasing


@pytest.mark.parametrize("data", GRID)
def test_pca_in_the_leaderboard_equals_scikit_learns(grid, leaderboards, data):
    from sklearn.decomposition import PCA

    table, prepared = leaderboards[data], Prepared.open(grid / "data/prepared" / data)
    train, test = (
        prepared.scaling(np.asarray(prepared.split(name).x, np.float64)).reshape(
            len(prepared.split(name).x), -1
        )
        for name in ("train", "test")
    )
    components = min(train.shape)
    sizes = table[~table.baseline].latent_dim.unique()
    pca_rows = table[table.model == "pca"].set_index("latent_dim").AUROC
    assert sorted(pca_rows.index) == sorted(size for size in sizes if size <= components)
    for size, auroc in pca_rows.items():
        pca = PCA(int(size), svd_solver="full").fit(train)
        error = ((pca.inverse_transform(pca.transform(test)) - test) ** 2).mean(1)
        assert auroc == pytest.approx(
            roc_auc_score(prepared.split("test").anomaly, error), abs=1e-4
        )
    for row in table[~table.baseline].to_dict("records"):
        gain = row["AUROC"] - pca_rows.get(row["latent_dim"], pca_rows.max())
        assert row["AUROC_over_PCA"] == pytest.approx(gain)


@pytest.mark.parametrize("name", BASELINES)
@pytest.mark.parametrize("data", GRID)
def test_the_leaderboard_has_every_baseline_on_the_same_splits(leaderboards, data, name):
    table = leaderboards[data]
    (row,) = table[table.model == name].to_dict("records")
    assert row["baseline"]
    assert row["AUROC_low"] <= row["AUROC"] <= row["AUROC_high"]
    assert row["prevalence"] == pytest.approx(table.prevalence.iloc[0])


def test_the_curves_for_dvc_are_those_of_the_cells(grid, leaderboards):
    data = list(GRID)[-1]  # compared last
    table = pd.read_csv(grid / f"reports/plots/roc/{data}.csv")
    assert list(table.columns) == ["false_positive_rate", *GRID[data]]
    for model in GRID[data]:
        area = np.trapezoid(table[model], table.false_positive_rate)
        metrics = json.loads((grid / f"runs/{data}/{model}/evaluate/metrics.json").read_text())
        assert area == pytest.approx(metrics["AUROC"], abs=0.01)


def test_a_calibrator_without_a_threshold_says_why_and_stops_nothing(
    stage_folder, recorder, refusal
):
    """A tuning split without anomalies has no best F1; only the deployed threshold must exist."""
    prepare("digits")
    train("digits", "linear")
    anomaly = stage_folder / "data/prepared/digits/tuning/anomaly.npy"
    np.save(anomaly, np.zeros_like(np.load(anomaly)))
    reseal(stage_folder / "data/prepared/digits")
    calibrate_threshold("digits", "linear")
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


def test_checkpoints_are_removed_once_the_threshold_is_set(stage_folder, recorder):
    prepare("digits")
    train("digits", "linear")
    assert list(Path("checkpoints").rglob("*.ckpt"))
    calibrate_threshold("digits", "linear")
    assert not list(Path("checkpoints").rglob("*.ckpt"))


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
