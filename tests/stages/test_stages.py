"""Every variant on both bundled data sets, and the user's own data, through every stage."""

import itertools
import json
import shutil
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

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

from hourglass import models
from hourglass.core.paths import CALIBRATED
from hourglass.data.prepared import Prepared
from hourglass.detection.calibrators import Conformal, MaxF1
from hourglass.evaluation.baselines import BASELINES
from hourglass.stages.baselines import baselines
from hourglass.stages.calibrate_threshold import calibrate_threshold
from hourglass.stages.compare import compare
from hourglass.stages.evaluate import evaluate
from hourglass.stages.prepare import prepare
from hourglass.stages.train import train
from tests.workspaces import (
    BOLTS,
    BUNDLED,
    ROOT,
    VARIANTS,
    FakeRecorder,
    calibrated,
    lean,
    reseal,
    set_up,
    set_yaml,
    working_in,
)

EPOCHS = 2
CELLS = [f"{data}/{model}" for data, model in itertools.product(BUNDLED, VARIANTS)]
every_cell = pytest.mark.parametrize("cell", CELLS)
# Most of the time goes into figures: they are drawn for one variant of each kind of network, and
# the second time for two cells only.
DRAWN = [
    cell for cell in CELLS if cell.split("/")[1] in ("denoising", "convolutional", "variational")
]
DRAWN_TWICE = ["digits/denoising", "breast_cancer/convolutional"]
# What runs a second time: every variant on images, one on a table.
AGAIN = [cell for cell in CELLS if cell.startswith("digits/") or cell in DRAWN_TWICE]

FIGURES = ("contributions", "generated", "histogram", "precision_recall", "roc", "samples")


def run_cell(data: str, model: str) -> None:
    train(data, model)
    calibrate_threshold(data, model)
    evaluate(data, model)


@contextmanager
def no_figures() -> Iterator[None]:
    """Write a pixel in place of each figure of a cell."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hourglass.evaluation.cell_figures.figures", SimpleNamespace(
            **dict.fromkeys(FIGURES, lambda *_: Image.new("L", (1, 1))),
            save=lambda pixel, path: pixel.save(path),
        ))  # fmt: skip
        yield


def run_grid(folder: Path, cells: list[str], drawn: list[str], compared: Sequence[str]) -> None:
    with working_in(set_up(folder, EPOCHS), FakeRecorder()):
        set_yaml(folder / "params.yaml", "data", value=list(compared))
        set_yaml(folder / "params.yaml", "models", value=VARIANTS)
        for data in BUNDLED:
            prepare(data)
            baselines(data)
        for cell in cells:
            with nullcontext() if cell in drawn else no_figures():
                run_cell(*cell.split("/"))
        compare()


@pytest.fixture(scope="module")
def grid(tmp_path_factory) -> Path:
    """Give a working folder in which the whole grid went through all stages."""
    folder = tmp_path_factory.mktemp("grid") / "workspace"
    run_grid(folder, CELLS, DRAWN, BUNDLED)
    return folder


@pytest.fixture(scope="module")
def again(tmp_path_factory) -> Path:
    """Give another, in which a good half of it did so as well."""
    folder = tmp_path_factory.mktemp("again") / "workspace"
    run_grid(folder, AGAIN, DRAWN_TWICE, ["digits"])
    return folder


@pytest.fixture
def folder(grid, cell) -> Path:
    return grid / "runs" / cell


@pytest.fixture
def metrics(folder) -> dict[str, float]:
    return json.loads((folder / "metrics.json").read_text())


@pytest.fixture
def scores(folder) -> pd.DataFrame:
    return pd.read_parquet(folder / "scores.parquet")


@pytest.fixture
def test_scores(scores) -> pd.DataFrame:
    return scores[scores.split == "test"]


@every_cell
@pytest.mark.parametrize(
    "name",
    [
        "weights.safetensors",
        "network.json",
        "settings.yaml",
        "history.csv",
        "training.json",
        "run_id",
        "threshold.json",
        "thresholds.json",
        "detector.json",
        "reference.safetensors",
        "metrics.json",
        "scores.parquet",
        "thresholds.csv",
        "by_class.csv",
        "mistakes.csv",
        "roc.csv",
        "precision_recall.csv",
        "timing.json",
        "figures/reconstructions.png",
        "figures/histogram.png",
        "figures/roc.png",
        "figures/precision_recall.png",
    ],
)
def test_the_promised_file_is_there(folder, name):
    assert (folder / name).stat().st_size > 0


@every_cell
def test_the_worst_mistakes_are_listed_with_their_reasons(cell, folder, test_scores):
    table, alarm = pd.read_csv(folder / "mistakes.csv"), test_scores.alarm
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
def test_every_class_is_evaluated_by_itself(folder, test_scores):
    table = pd.read_csv(folder / "by_class.csv")
    for row in table.to_dict("records"):
        chosen = test_scores[test_scores.label == str(row["label"])]
        assert row["samples"] == len(chosen)
        assert row["alarm_rate"] == pytest.approx(chosen.alarm.mean())
    assert table.samples.sum() == len(test_scores)


@every_cell
def test_mistakes_are_drawn_where_there_are_some(folder, test_scores):
    wrong = (test_scores.alarm != test_scores.anomaly).any()
    assert (folder / "figures/mistakes.png").exists() == wrong


@every_cell
def test_nothing_unfinished_is_left_beside_the_files(folder):
    assert not [path.name for path in folder.rglob("*") if path.name.startswith(".")]


@pytest.mark.parametrize("cell", DRAWN)
def test_every_figure_shows_something(folder):
    for path in (folder / "figures").iterdir():
        with Image.open(path) as image:
            assert np.asarray(image).std() > 1, path


@every_cell
def test_metrics_has_the_promised_keys(metrics):
    assert metrics.keys() >= {
        "AUROC",
        "average_precision",
        "prevalence",
        "precision",
        "recall",
        "F1",
        "false_alarm_rate",
        "reconstruction_error_normal",
        "reconstruction_error_anomalous",
    }


@every_cell
def test_metrics_are_those_of_scikit_learn_on_the_test_split(metrics, test_scores):
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
def test_reconstruction_errors_are_those_of_the_saved_network(grid, cell, folder, metrics):
    import torch

    from hourglass.networks.weights import load

    prepared = Prepared.open(grid / "data/prepared" / cell.split("/")[0])
    test = prepared.split("test")
    x = torch.from_numpy(prepared.scaling(np.asarray(test.x))).float()
    network = load(folder)
    with torch.inference_mode():
        errors = ((network(x) - x) ** 2).flatten(1).mean(1).double().numpy()
    assert metrics["reconstruction_error_normal"] == pytest.approx(errors[~test.anomaly].mean())
    assert metrics["reconstruction_error_anomalous"] == pytest.approx(errors[test.anomaly].mean())


@every_cell
def test_an_alarm_is_a_score_strictly_above_the_threshold(folder, scores):
    threshold = json.loads((folder / "threshold.json").read_text())["value"]
    assert (scores.alarm == (scores.score > threshold)).all()


@every_cell
def test_the_threshold_is_that_of_the_calibration_scores(folder, scores):
    threshold = json.loads((folder / "threshold.json").read_text())
    calibration = scores[scores.split == "calibration"].score
    assert threshold["n"] == len(calibration)
    assert threshold["value"] == Conformal(0.05)(calibration).value


@every_cell
def test_every_calibrator_is_recorded_with_what_came_of_it(folder, test_scores):
    table = pd.read_csv(folder / "thresholds.csv").set_index("calibrator")
    names = yaml.safe_load((ROOT / "configs/calibrators.yaml").read_text())
    assert list(table.index) == ["deployed", *names]
    for each in table.dropna(subset=["threshold"]).itertuples():
        alarm = test_scores.score > each.threshold
        assert each.recall == pytest.approx(alarm[test_scores.anomaly].mean())
        assert each.false_alarm_rate == pytest.approx(alarm[~test_scores.anomaly].mean())


@every_cell
def test_labelled_calibrators_see_the_tuning_split_alone(folder, scores):
    table = pd.read_csv(folder / "thresholds.csv").set_index("calibrator")
    tuning = scores[scores.split == "tuning"]
    expected = MaxF1()(tuning.score.to_numpy(), tuning.anomaly.to_numpy())
    assert table.threshold["max_f1"] == pytest.approx(expected.value)
    assert table.n["max_f1"] == len(tuning)


def test_a_calibrator_that_finds_no_threshold_says_why_and_stops_nothing(
    stage_folder, recorder, refusal
):
    """In a tuning split without anomalies there is no best F1; but what is deployed must be had."""
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
    set_yaml(
        stage_folder / "params.yaml",
        "calibration",
        value={"class_path": "hourglass.detection.calibrators.MaxF1"},
    )
    assert "holds none" in refusal(calibrate_threshold, "digits", "linear")


@every_cell
def test_every_sample_outside_of_train_has_one_score(grid, cell, scores):
    prepared = Prepared.open(grid / "data/prepared" / cell.split("/")[0])
    for name in ("validation", "calibration", "tuning", "test"):
        part = prepared.split(name)
        found = scores[scores.split == name]
        assert found.id.tolist() == part.id.tolist()
        assert found.label.tolist() == part.label.tolist()
        assert found.anomaly.tolist() == part.anomaly.tolist()
    assert set(scores.split) == {"validation", "calibration", "tuning", "test"}


@every_cell
def test_no_score_of_a_sample_depends_on_the_others(grid, cell, folder, test_scores):
    from hourglass.detection.scorers import ModelScore
    from hourglass.detection.scoring import FittedScorer
    from hourglass.networks.weights import load

    prepared = Prepared.open(grid / "data/prepared" / cell.split("/")[0])
    network = load(folder)
    scoring = FittedScorer(network, prepared.scaling, ModelScore(), {})
    alone = scoring(prepared.split("test").x[:1])
    assert alone[0] == pytest.approx(test_scores.score.iloc[0], rel=1e-5)


@every_cell
def test_the_area_under_the_roc_curve_is_the_auroc(folder, metrics):
    curve = pd.read_csv(folder / "roc.csv")
    area = np.trapezoid(curve.recall, curve.false_positive_rate)
    assert area == pytest.approx(metrics["AUROC"])


@every_cell
def test_every_point_of_the_precision_recall_curve_is_reached_by_a_threshold(folder, test_scores):
    truth, score = test_scores.anomaly.to_numpy(), test_scores.score.to_numpy()
    reached = {(0.0, 1.0)}
    for threshold in np.unique(score):
        hits = (truth & (score >= threshold)).sum()
        reached.add((hits / truth.sum(), hits / (score >= threshold).sum()))
    drawn = pd.read_csv(folder / "precision_recall.csv")
    ours = np.array(sorted(reached))
    for point in drawn[["recall", "precision"]].to_numpy():
        assert np.abs(ours - point).max(1).min() < 1e-12


@every_cell
def test_history_has_one_row_an_epoch_of_every_phase(folder):
    history = whole = pd.read_csv(folder / "history.csv")
    if "phase" in history:
        whole = history[history.phase.isna()]
        for _, rows in history.groupby("phase"):
            assert rows.epoch.tolist() == list(range(EPOCHS))
    assert whole.epoch.tolist() == list(range(EPOCHS))
    assert set(history.columns) >= {"train_loss", "validation_error", "learning_rate"}


@every_cell
def test_the_best_epoch_of_the_history_is_the_one_that_is_kept(grid, cell, folder, scores):
    history = pd.read_csv(folder / "history.csv")
    if "phase" in history:
        history = history[history.phase.isna()]
    error = scores[scores.split == "validation"].score.mean()
    assert error == pytest.approx(history.validation_error.min(), rel=1e-4)


@every_cell
def test_settings_are_resolved(grid, cell, folder):
    settings = yaml.safe_load((folder / "settings.yaml").read_text())
    assert f"{settings['data']}/{settings['model']}" == cell
    assert settings["seed"] == 0
    assert settings["training"]["max_epochs"] == EPOCHS
    assert settings["trainer"] == {"accelerator": "cpu", "devices": 1}
    assert settings["init_args"].keys() >= {"loss", "learning_rate", "noise_factor"}
    own = yaml.safe_load((grid / "configs/model" / f"{settings['model']}.yaml").read_text())
    expected = {"learning_rate": 0.01 if settings["data"] == "digits" else 0.003}
    expected |= own.get("init_args") or {}
    assert settings["init_args"] | expected == settings["init_args"]


@every_cell
def test_speed_is_told_apart_from_the_metrics(folder, metrics):
    timing = json.loads((folder / "timing.json").read_text())
    for part in ("train", "score"):
        assert timing[part]["seconds"] > 0
        assert timing[part]["samples_per_second"] > 0
    assert not {"seconds", "samples_per_second"} & metrics.keys()


@pytest.mark.parametrize("cell", AGAIN)
@pytest.mark.parametrize(
    "name",
    [
        "weights.safetensors",
        "network.json",
        "settings.yaml",
        "history.csv",
        "threshold.json",
        "reference.safetensors",
        "metrics.json",
        "scores.parquet",
        "by_class.csv",
        "mistakes.csv",
        "roc.csv",
        "precision_recall.csv",
    ],
)
def test_running_twice_gives_the_same_bytes(grid, again, cell, name):
    one, two = ((each / "runs" / cell / name).read_bytes() for each in (grid, again))
    assert one == two


@pytest.mark.parametrize("cell", DRAWN_TWICE)
def test_running_twice_draws_the_same_figures(grid, again, cell):
    one, two = (
        {
            path.name: path.read_bytes()
            for path in (each / "runs" / cell / "evaluate/figures").iterdir()
        }
        for each in (grid, again)
    )
    assert one == two


def test_running_twice_gives_the_same_leaderboard(grid, again):
    one, two = (
        [
            line
            for line in (folder / "reports/leaderboard.csv").read_text().splitlines()
            if line.startswith("digits,")
        ]
        for folder in (grid, again)
    )
    assert len(two) > len(VARIANTS)
    assert one == two


@pytest.fixture
def leaderboard(grid) -> pd.DataFrame:
    return pd.read_csv(grid / "reports/leaderboard.csv")


def test_the_leaderboard_has_one_row_a_cell(leaderboard):
    cells = leaderboard[~leaderboard.baseline]
    assert sorted(cells.data + "/" + cells.model) == sorted(CELLS)


def test_the_leaderboard_has_pca_of_every_code_size(leaderboard):
    components = {"digits": 64, "breast_cancer": 30}
    for data, rows in leaderboard.groupby("data"):
        sizes = rows[~rows.baseline].latent_dim.unique()
        possible = sorted(size for size in sizes if size <= components[data])
        assert sorted(rows[rows.model == "pca"].latent_dim) == possible


def test_the_leaderboard_holds_the_metrics_of_the_cells(grid, leaderboard):
    for row in leaderboard[~leaderboard.baseline].to_dict("records"):
        metrics = json.loads(
            (grid / f"runs/{row['data']}/{row['model']}/evaluate/metrics.json").read_text()
        )
        assert {key: row[key] for key in metrics} == metrics


def test_pca_in_the_leaderboard_is_scikit_learns(grid, leaderboard):
    from sklearn.decomposition import PCA

    for row in leaderboard[leaderboard.model == "pca"].to_dict("records"):
        prepared = Prepared.open(grid / "data/prepared" / row["data"])
        train, test = (
            prepared.scaling(np.asarray(prepared.split(name).x, np.float64)).reshape(
                len(prepared.split(name).x), -1
            )
            for name in ("train", "test")
        )
        pca = PCA(int(row["latent_dim"]), svd_solver="full").fit(train)
        error = ((pca.inverse_transform(pca.transform(test)) - test) ** 2).mean(1)
        auroc = roc_auc_score(prepared.split("test").anomaly, error)
        assert row["AUROC"] == pytest.approx(auroc, abs=1e-4)


def test_the_leaderboard_says_what_a_variant_gains_over_pca_of_its_code_size(leaderboard):
    for _, rows in leaderboard.groupby("data"):
        pca = rows[rows.model == "pca"].set_index("latent_dim").AUROC
        for row in rows[~rows.baseline].to_dict("records"):
            expected = row["AUROC"] - pca.get(row["latent_dim"], pca.max())
            assert row["AUROC_over_PCA"] == pytest.approx(expected)


@pytest.mark.parametrize("name", BASELINES)
def test_the_leaderboard_has_every_baseline_on_the_same_splits(leaderboard, name):
    for _, rows in leaderboard.groupby("data"):
        (row,) = rows[rows.model == name].to_dict("records")
        assert row["baseline"]
        assert row["AUROC_low"] <= row["AUROC"] <= row["AUROC_high"]
        assert row["prevalence"] == pytest.approx(rows.prevalence.iloc[0])


def test_the_leaderboard_is_sorted_by_auroc_within_a_data_set(leaderboard):
    for _, rows in leaderboard.groupby("data"):
        assert rows.AUROC.is_monotonic_decreasing


def test_the_leaderboard_in_markdown_has_as_many_rows(grid, leaderboard):
    text = (grid / "reports/leaderboard.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == len(leaderboard) + 2


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell.endswith("/variational")])
def test_what_a_variational_network_makes_up_is_drawn_where_it_is_images(cell, folder):
    assert (folder / "figures/samples.png").exists() == cell.startswith("digits")


@pytest.mark.slow
@pytest.mark.parametrize("model", BOLTS)
def test_bolts_models_go_through_every_stage_on_images(stage_folder, recorder, model):
    set_yaml(stage_folder / "configs/data/digits.yaml", "training", "max_epochs", value=1)
    prepare("digits")
    run_cell("digits", model)
    assert (
        0
        <= json.loads(Path(f"runs/digits/{model}/evaluate/metrics.json").read_text())["AUROC"]
        <= 1
    )


@pytest.mark.parametrize("model", BOLTS)
def test_bolts_models_refuse_tables_before_anything_is_trained(
    stage_folder, recorder, refusal, model
):
    prepare("breast_cancer")
    assert "images" in refusal(train, "breast_cancer", model)
    assert recorder.trainings == 0


def test_a_variant_is_one_file_and_one_yaml(stage_folder, recorder, tmp_path, monkeypatch):
    """A user's own file among the variants is one: nothing else is told of it."""
    (tmp_path / "mirrored.py").write_text(MIRRORED)
    monkeypatch.setattr(models, "__path__", [*models.__path__, str(tmp_path)])
    path = "hourglass.models.mirrored.Mirrored"
    set_yaml(stage_folder / "configs/model/mirrored.yaml", "class_path", value=path)
    set_yaml(stage_folder / "params.yaml", "data", value=["digits"])
    set_yaml(stage_folder / "params.yaml", "models", value=["mirrored"])
    prepare("digits")
    baselines("digits")
    run_cell("digits", "mirrored")
    compare()
    table = pd.read_csv("reports/leaderboard.csv")
    assert table.model.tolist().count("mirrored") == 1
    assert (stage_folder / "runs/digits/mirrored/evaluate/figures/reconstructions.png").exists()


MIRRORED = """
from hourglass.models.base import LitAutoencoder
from hourglass.networks import Dense


class Mirrored(LitAutoencoder):
    def __init__(self, sample_shape, latent_dim: int = 4, **training):
        super().__init__(Dense(sample_shape, latent_dim, bounded=True), **training)

    def corrupt(self, x):
        return x.flip(-1)
"""


# What the stages tell the record.


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> Iterator[FakeRecorder]:
    """Give what one cell tells the record."""
    recorder = FakeRecorder()
    folder = set_up(tmp_path_factory.mktemp("told") / "workspace", EPOCHS)
    with working_in(folder, recorder), no_figures():
        prepare("breast_cancer")
        run_cell("breast_cancer", "denoising")
        yield recorder


def test_each_stage_closes_its_record(told):
    assert told.statuses == ["finished"] * 3
    assert told.trainings == 1


def test_every_epoch_is_recorded(told):
    history = told.record("train").history
    assert [row["epoch"] for row in history] == list(range(EPOCHS))


def test_checkpoints_are_gone_once_the_threshold_is_set(told):
    assert not any(Path("checkpoints").rglob("*.ckpt"))


# Training again.


def test_training_twice_in_a_row_gives_the_same_bytes(stage_folder, recorder):
    prepare("digits")
    folder = train("digits", "denoising")
    before = {name: (folder / name).read_bytes() for name in ("weights.safetensors", "history.csv")}
    shutil.rmtree(folder)  # DVC deletes what a stage is to write
    train("digits", "denoising")
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_another_seed_gives_other_weights(stage_folder, recorder):
    prepare("digits")
    weights = train("digits", "linear") / "weights.safetensors"
    before = weights.read_bytes()
    set_yaml(stage_folder / "params.yaml", "seed", value=1)
    train("digits", "linear")
    assert weights.read_bytes() != before


def test_the_seed_decides_also_after_other_random_draws(stage_folder, recorder):
    import torch

    prepare("digits")
    weights = train("digits", "denoising") / "weights.safetensors"
    before = weights.read_bytes()
    shutil.rmtree("checkpoints")
    torch.rand(17)
    train("digits", "denoising")
    assert weights.read_bytes() == before


# The user's own data.


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


# One of each kind of network; the others differ in their training only.
ON_OWN = ["linear", "denoising", "convolutional", "stacked", "variational"]
OWN: dict[str, tuple[Callable[..., str], dict[str, Any]]] = {
    "table": (own_table, {"label": "kind", "normal": "good"}),
    "table without labels": (own_table, {"drop": ["kind"]}),
    "images": (own_images, {"normal": "good"}),
    "images without labels": (own_images, {}),
}
WITHOUT_LABELS = [kind for kind in OWN if "without" in kind]


@dataclass(frozen=True)
class Ran:
    """What became of the user's own data with every variant."""

    folder: Path
    messages: list[str]  # the warnings
    statuses: list[str]

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
        recorder = FakeRecorder()
        with working_in(folder, recorder), warnings.catch_warnings(record=True) as caught:
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
        found[kind] = Ran(folder, messages, recorder.statuses)
    return found


@pytest.mark.parametrize("kind", OWN)
def test_own_data_go_through_every_stage(own, kind):
    assert own[kind].statuses == ["finished"] * (3 * len(ON_OWN) + 1)


@pytest.mark.parametrize("kind", OWN)
def test_own_data_raise_no_warning(own, kind):
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
def test_curves_of_data_without_anomalies_hold_no_made_up_numbers(own, kind):
    for name in ("roc.csv", "precision_recall.csv"):
        curve = pd.read_csv(own[kind].folder / "runs/mine/linear" / name)
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


# What is refused.

REFUSED: dict[str, tuple[str, str, dict[str, Any]]] = {
    "latent_dim of 0": ("breast_cancer", "linear", {"latent_dim": 0}),
    "negative latent_dim": ("digits", "convolutional", {"latent_dim": -3}),
    "code as wide as the sample": ("breast_cancer", "undercomplete", {"latent_dim": 30}),
    "code wider than the sample": ("digits", "undercomplete", {"latent_dim": 65}),
    "bce on a table": ("breast_cancer", "undercomplete", {"loss": "bce"}),
    "unknown loss": ("breast_cancer", "undercomplete", {"loss": "mea"}),
    "text for a number": ("breast_cancer", "linear", {"latent_dim": "wide"}),
    "typo in a key": ("breast_cancer", "linear", {"latent_dims": 3}),
    "no hidden units": ("breast_cancer", "denoising", {"hidden": [0]}),
    "negative hidden units": ("breast_cancer", "denoising", {"hidden": [-2]}),
    "no channels": ("digits", "convolutional", {"channels": []}),
    "no channel in a layer": ("digits", "convolutional", {"channels": [0]}),
    "negative noise": ("digits", "denoising", {"noise_factor": -0.1}),
    "noise that is NaN": ("digits", "denoising", {"noise_factor": float("nan")}),
    "masking of everything": ("digits", "denoising", {"masking": 1.0}),
    "learning rate of 0": ("digits", "linear", {"learning_rate": 0.0}),
    "learning rate that is NaN": ("digits", "linear", {"learning_rate": float("nan")}),
    "negative weight decay": ("digits", "linear", {"weight_decay": -1.0}),
    "loss that turns NaN": ("breast_cancer", "linear", {"learning_rate": 1e30}),
    "loss that turns NaN with convolutions": (
        "breast_cancer",
        "convolutional",
        {"learning_rate": 1e30},
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_refused_training_writes_nothing(stage_folder, recorder, refusal, why):
    data, model, init_args = REFUSED[why]
    for key, value in init_args.items():
        set_yaml(stage_folder / f"configs/model/{model}.yaml", "init_args", key, value=value)
    prepare(data)
    refusal(train, data, model)
    assert not [path for path in Path("runs").rglob("*") if path.is_file()]


@pytest.mark.parametrize("why", [name for name in REFUSED if "turns NaN" not in name])
def test_a_training_refused_by_its_settings_opens_no_run(stage_folder, recorder, refusal, why):
    data, model, init_args = REFUSED[why]
    for key, value in init_args.items():
        set_yaml(stage_folder / f"configs/model/{model}.yaml", "init_args", key, value=value)
    prepare(data)
    refusal(train, data, model)
    assert recorder.trainings == 0


@pytest.mark.parametrize(("data", "model"), [("digits", "denoisng"), ("digts", "denoising")])
def test_an_unknown_name_is_refused_before_the_record_is_opened(
    stage_folder, recorder, refusal, data, model
):
    prepare("digits")
    sentence = refusal(train, data, model)
    assert f"{data if data != 'digits' else model}.yaml" in sentence
    assert recorder.statuses == []


@pytest.mark.parametrize(
    ("why", "word"),
    [
        ("latent_dim of 0", "latent_dim is 0"),
        ("code as wide as the sample", "latent_dim is 30"),
        ("bce on a table", "'bce'"),
        ("loss that turns NaN", "learning_rate"),
    ],
)
def test_a_refused_training_names_the_value(stage_folder, recorder, refusal, why, word):
    data, model, init_args = REFUSED[why]
    for key, value in init_args.items():
        set_yaml(stage_folder / f"configs/model/{model}.yaml", "init_args", key, value=value)
    prepare(data)
    assert word in refusal(train, data, model)


def test_a_loss_that_turns_nan_fails_the_run(stage_folder, recorder, refusal):
    path = stage_folder / "configs/model/linear.yaml"
    set_yaml(path, "init_args", "learning_rate", value=1e30)
    prepare("breast_cancer")
    refusal(train, "breast_cancer", "linear")
    assert recorder.statuses == ["failed"]


def test_a_training_goes_well_after_the_setting_it_was_refused_for_is_mended(
    stage_folder, recorder, refusal
):
    path = stage_folder / "configs/model/linear.yaml"
    before = path.read_bytes()
    set_yaml(path, "init_args", "learning_rate", value=1e30)
    prepare("breast_cancer")
    refusal(train, "breast_cancer", "linear")
    path.write_bytes(before)
    assert (train("breast_cancer", "linear") / "weights.safetensors").exists()


@pytest.mark.parametrize(
    ("key", "value"), [("max_epochs", 0), ("batch_size", 0), ("patience", 0), ("max_epoch", 3)]
)
def test_a_bad_training_setting_is_refused(stage_folder, recorder, refusal, key, value):
    set_yaml(stage_folder / "configs/data/digits.yaml", "training", key, value=value)
    prepare("digits")
    assert key in refusal(train, "digits", "linear")


@pytest.mark.parametrize(
    "calibration",
    [
        {"class_path": "hourglass.detection.calibrators.Quantile", "init_args": {"q": 1.5}},
        {"class_path": "hourglass.detection.calibrators.Quantile", "init_args": {"p": 0.5}},
        {"class_path": "hourglass.detection.calibrators.Quantil"},
        {"class_path": "hourglass.detection.threshold.Threshold"},
        {"class_path": "hourglass.detection.calibrators.Calibrator"},
        {"class_path": "Quantile"},
        {"init_args": {"q": 0.5}},
        {"class_path": "hourglass.detection.calibrators.KSigma", "init_args": {"k": float("nan")}},
    ],
    ids=str,
)
def test_a_bad_calibration_is_refused_and_writes_nothing(
    stage_folder, recorder, refusal, calibration
):
    prepare("breast_cancer")
    train("breast_cancer", "linear")
    set_yaml(stage_folder / "params.yaml", "calibration", value=calibration)
    refusal(calibrate_threshold, "breast_cancer", "linear")
    assert not (stage_folder / "runs/breast_cancer/linear/calibrate/threshold.json").exists()


def test_weights_that_are_not_finite_set_no_threshold(stage_folder, recorder, refusal):
    from safetensors.numpy import load_file, save_file

    prepare("breast_cancer")
    path = train("breast_cancer", "linear") / "weights.safetensors"
    save_file({key: value * np.float32("nan") for key, value in load_file(path).items()}, path)
    refusal(calibrate_threshold, "breast_cancer", "linear")
    assert not (path.parent / "threshold.json").exists()


def test_damaged_weights_are_refused(stage_folder, recorder, refusal):
    prepare("breast_cancer")
    path = train("breast_cancer", "linear") / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    refusal(calibrate_threshold, "breast_cancer", "linear")


@pytest.mark.parametrize("file", [*CALIBRATED, "weights.safetensors", "network.json"])
def test_evaluate_names_the_stage_that_must_run_first(stage_folder, recorder, refusal, file):
    prepare("breast_cancer")
    folder = train("breast_cancer", "linear")
    calibrate_threshold("breast_cancer", "linear")
    (folder / file).unlink()
    stage = "calibrate-threshold" if file in CALIBRATED else "train"
    assert f"hourglass {stage} breast_cancer linear" in refusal(evaluate, "breast_cancer", "linear")


@pytest.mark.parametrize("file", ["run_id", "settings.yaml", "history.csv", "training.json"])
def test_evaluate_writes_nothing_where_the_training_is_incomplete(
    stage_folder, recorder, refusal, file
):
    prepare("breast_cancer")
    folder = train("breast_cancer", "linear")
    calibrate_threshold("breast_cancer", "linear")
    (folder / file).unlink()
    before = sorted(folder.iterdir())
    with no_figures():
        refusal(evaluate, "breast_cancer", "linear")
    assert sorted(folder.iterdir()) == before


def test_compare_names_the_cell_that_lacks_metrics(stage_folder, recorder, refusal):
    prepare("digits")
    assert "hourglass evaluate digits linear" in refusal(compare)
    assert not (stage_folder / "reports").exists()


@pytest.mark.slow
def test_what_follows_training_imports_neither_lightning_nor_torchvision(stage_folder, recorder):
    """Nor MLflow, which is imported by a process of its own."""
    calibrated(("digits", "linear"))
    baselines("digits")
    set_yaml(stage_folder / "params.yaml", "data", value=["digits"])
    set_yaml(stage_folder / "params.yaml", "models", value=["linear"])
    slow = ("sklearn", "scipy.stats")  # half as long as torch to import
    lean(stage_folder, "calibrate-threshold", "digits", "linear", without=slow)
    lean(stage_folder, "evaluate", "digits", "linear")
    lean(stage_folder, "compare")
