"""Objectives: each against an independent reference, and refused where it has no answer."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.neighbors import KNeighborsClassifier

from hourglass.core.paths import Cell, prepared_folder
from hourglass.core.yaml_config import build
from hourglass.data.prepared import Prepared
from hourglass.detection.scorers import ModelScore
from hourglass.detection.scoring import FittedScorer, errors, latent_codes
from hourglass.networks import Dense, Network
from hourglass.stages.prepare import prepare
from hourglass.tuning.objectives import (
    Denoising,
    Detection,
    Features,
    Objective,
    Pareto,
    ReconstructionError,
    SyntheticDetection,
    Task,
)
from hourglass.tuning.study_spec import StudySpec

EVERY = sorted(
    path.stem for path in (Path(__file__).parents[2] / "configs/tune/objective").glob("*.yaml")
)


@pytest.fixture
def task(workspace) -> Task:
    prepare("digits")
    return Task(Prepared.open(prepared_folder("digits")), ModelScore())


@pytest.fixture
def network(task) -> Network:
    """Give PCA of eight components as a network: no training is needed to detect something."""
    train = task.prepared.scaling(np.array(task.prepared.split("train").x)).reshape(-1, 64)
    pca = PCA(8).fit(train)
    network = Dense([1, 8, 8], 8, [], "identity", "identity", False, False)
    layers = [each for each in network.modules() if isinstance(each, torch.nn.Linear)]
    components, mean = (
        torch.tensor(each, dtype=torch.float32) for each in (pca.components_, pca.mean_)
    )
    with torch.no_grad():
        layers[0].weight.copy_(components)
        layers[0].bias.copy_(-components @ mean)
        layers[1].weight.copy_(components.T)
        layers[1].bias.copy_(mean)
    return network.eval()


@pytest.mark.parametrize(
    ("metric", "reference"),
    [("AUROC", roc_auc_score), ("average_precision", average_precision_score)],
)
def test_detection_is_scikit_learns_on_the_tuning_split(network, task, metric, reference):
    tuning = task.prepared.split("tuning")
    scores = errors(network, tuning.x, task.prepared.scaling)
    assert Detection(metric)(network, task) == pytest.approx((reference(tuning.anomaly, scores),))


def test_denoising_is_the_psnr_at_its_own_noise(network, task):
    (psnr,) = Denoising(0.5)(network, task)
    tuning = task.prepared.split("tuning")
    clean = torch.from_numpy(task.prepared.scaling(np.array(tuning.x[~tuning.anomaly])))
    torch.manual_seed(1)
    with torch.no_grad():
        errors = [
            (network(clean + 0.5 * torch.randn_like(clean)) - clean).square().mean()
            for _ in range(20)
        ]
    assert psnr == pytest.approx(float(-10 * torch.stack(errors).mean().log10()), abs=0.1)
    assert Denoising(0.5)(network, task) == (psnr,)
    assert Denoising(1.0)(network, task) < (psnr,)


def test_features_is_the_accuracy_of_neighbours_in_the_code(network, task):
    train, tuning = (task.prepared.split(name) for name in ("train", "tuning"))
    own, scaling = ~tuning.anomaly, task.prepared.scaling
    known = KNeighborsClassifier(3, algorithm="brute").fit(
        latent_codes(network, train.x, scaling), train.label
    )
    guessed = known.predict(latent_codes(network, tuning.x[own], scaling))
    assert Features(3)(network, task) == pytest.approx((np.mean(guessed == tuning.label[own]),))


def test_pareto_is_the_validation_error_and_the_units_of_the_code(network, task):
    x = task.prepared.scaling(np.array(task.prepared.split("validation").x)).reshape(-1, 64)
    with torch.no_grad():
        error = np.square(
            network(torch.from_numpy(x).reshape(-1, 1, 8, 8)).numpy().reshape(-1, 64) - x
        )
    assert Pareto()(network, task) == pytest.approx((error.mean(), 8))
    assert ReconstructionError()(network, task) == pytest.approx((error.mean(),))


@pytest.mark.parametrize("kind", ["mixed", "permuted", "corrupted"])
def test_synthetic_anomalies_are_unlike_the_samples_they_are_made_of(network, task, kind):
    tuning = task.prepared.split("tuning")
    normal, scaling = np.array(tuning.x[~tuning.anomaly]), task.prepared.scaling
    made = SyntheticDetection([kind]).anomalies(kind, normal, scaling.scale)
    assert (made.shape, made.dtype) == (normal.shape, normal.dtype)
    assert (made != normal).any(axis=(1, 2, 3)).mean() > 0.9
    scores = np.concatenate([errors(network, each, scaling) for each in (normal, made)])
    auroc = roc_auc_score(np.arange(len(scores)) >= len(normal), scores)
    assert SyntheticDetection([kind])(network, task) == pytest.approx((auroc,))
    assert auroc > 0.5


def test_permuted_features_keep_their_own_distribution():
    x = np.random.default_rng(0).normal(size=(400, 5)).astype(np.float32) * [1, 2, 3, 4, 5]
    x = x.astype(np.float32)
    made = SyntheticDetection(strength=1.0).anomalies("permuted", x, np.ones(5, np.float32))
    np.testing.assert_array_equal(np.sort(made, 0), np.sort(x, 0))


def test_a_permuted_image_has_the_pixels_it_had(task):
    x = np.array(task.prepared.split("tuning").x)
    made = SyntheticDetection().anomalies("permuted", x, np.ones((), np.float32))
    np.testing.assert_array_equal(np.sort(made.reshape(len(x), -1)), np.sort(x.reshape(len(x), -1)))


def test_synthetic_detection_ranks_bottlenecks_as_labelled_anomalies_do(task, network):
    wide = Dense([1, 8, 8], 64, [], "identity", "identity", False, False).eval()
    layers = [each for each in wide.modules() if isinstance(each, torch.nn.Linear)]
    with torch.no_grad():
        for layer in layers:
            layer.weight.copy_(torch.eye(64))
            layer.bias.zero_()
    for objective in (Detection(), SyntheticDetection()):
        assert objective(network, task)[0] > objective(wide, task)[0]


@pytest.mark.parametrize("name", EVERY)
def test_no_objective_reads_the_test_split(network, task, monkeypatch, name):
    objective = StudySpec(Cell("digits", "linear"), name, "default").make_objective()
    opened = []
    split = Prepared.split
    monkeypatch.setattr(
        Prepared, "split", lambda self, part: opened.append(part) or split(self, part)
    )
    objective.check(task, ["latent_dim"] if name != "reconstruction_error" else ["learning_rate"])
    values = objective(network, task)
    assert len(values) == len(objective.names) == len(objective.directions)
    assert np.isfinite(values).all()
    assert opened
    assert "test" not in opened


@pytest.mark.parametrize(
    "setting", ["latent_dim", "hidden", "projection", "noise_factor", "weight_decay"]
)
def test_the_reconstruction_error_chooses_no_bottleneck_and_no_constraint(task, refusal, setting):
    sentence = refusal(ReconstructionError().check, task, ["learning_rate", setting])
    assert setting in sentence
    assert "always reconstructs" in sentence
    ReconstructionError().check(task, ["learning_rate", "schedule"])


@pytest.mark.parametrize("name", ["mse", "validation_error", "loss"])
def test_other_names_of_the_reconstruction_error_are_understood(workspace, refusal, name):
    assert "bottleneck" in refusal(StudySpec.of, Cell("digits", "linear"), name, None)


def test_an_unknown_objective_is_refused_with_the_known_ones(workspace, refusal):
    sentence = refusal(StudySpec.of, Cell("digits", "linear"), "auc", None)
    for name in EVERY:
        assert name in sentence


def test_pareto_needs_sizes(task, refusal):
    assert "latent_dim" in refusal(Pareto().check, task, ["learning_rate"])


def test_detection_without_anomalies_points_to_synthetic_ones(task, refusal):
    task.prepared.card["splits"]["tuning"]["anomalies"] = 0
    assert "synthetic" in refusal(Detection().check, task, [])


def test_features_need_two_classes(workspace, refusal):
    prepare("breast_cancer")
    task = Task(Prepared.open(prepared_folder("breast_cancer")), ModelScore())
    assert "one class" in refusal(Features().check, task, [])


@pytest.mark.parametrize(
    ("kind", "settings", "word"),
    [
        ("Denoising", {"noise_factor": 0.0}, "noise_factor"),
        ("Features", {"k": 0}, "k is 0"),
        ("SyntheticDetection", {"strength": 2.0}, "strength"),
        ("SyntheticDetection", {"kinds": []}, "kinds"),
        ("SyntheticDetection", {"kinds": ["mixt"]}, "mixt"),
        ("Detection", {"metric": "F1"}, "F1"),
    ],
)
def test_bad_settings_are_refused(refusal, kind, settings, word):
    config = {"class_path": f"hourglass.tuning.objectives.{kind}", "init_args": settings}
    assert word in refusal(build, config, Objective, "mine.yaml")


def test_scores_of_the_setting_are_used(network, task):
    from hourglass.detection.scorers import RaPP

    tuning = task.prepared.split("tuning")
    train = task.prepared.split("train").x
    scoring = FittedScorer.fit(network, task.prepared.scaling, RaPP(), train)
    expected = roc_auc_score(tuning.anomaly, scoring(tuning.x))
    assert Detection()(network, Task(task.prepared, RaPP())) == pytest.approx((expected,))
