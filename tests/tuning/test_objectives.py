"""Objectives: values against independent references, and errors for unsuitable data."""

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from torch.nn import Linear

from hourglass.core.paths import Cell, prepared_folder
from hourglass.core.yaml_config import build
from hourglass.data.prepared_data import Prepared, PreparedInMemory, Samples
from hourglass.data.scaling import Scaling, TiledScaling
from hourglass.data.tiling import Tiles, Tiling
from hourglass.detection.scorers import ModelScore, RaPP
from hourglass.detection.scoring import FittedScorer, errors, latent_codes
from hourglass.networks import Dense, Network
from hourglass.stages.prepare import prepare
from hourglass.tuning import objectives
from hourglass.tuning.objectives import Detection, Objective, SyntheticDetection, Task
from hourglass.tuning.objectives.detection import AnomalyKind
from hourglass.tuning.study_spec import StudySpec
from tests.data.test_tiling import stack_padded

WHOLE = Scaling.of_images(255)
CONFIGS = Path(__file__).parents[2] / "configs/tune/objective"


@pytest.fixture
def task(workspace) -> Task:
    prepare("digits")
    return Task(Prepared.open(prepared_folder("digits")), ModelScore())


@pytest.fixture
def normal(task) -> np.ndarray:
    """Return the normal samples of the tuning split."""
    tuning = task.prepared.split("tuning")
    return np.array(tuning.x[~tuning.anomaly])


def linear(encoder: torch.Tensor, bias: torch.Tensor, mean: torch.Tensor) -> Network:
    """Return a network with one linear layer and its transpose."""
    network = Dense([1, 8, 8], len(encoder), [], "identity", "identity", False, False)
    first, second = (layer for layer in network.modules() if isinstance(layer, Linear))
    with torch.no_grad():
        for parameter, value in (
            (first.weight, encoder),
            (first.bias, bias),
            (second.weight, encoder.T),
            (second.bias, mean),
        ):
            parameter.copy_(value)
    return network.eval()


@pytest.fixture
def network(task) -> Network:
    """Return PCA with eight components as a network, which detects anomalies without training."""
    train = task.prepared.scaling(np.array(task.prepared.split("train").x)).reshape(-1, 64)
    pca = PCA(8).fit(train)
    components, mean = (torch.tensor(x, dtype=torch.float32) for x in (pca.components_, pca.mean_))
    return linear(components, -components @ mean, mean)


@pytest.mark.parametrize("scorer", [ModelScore(), RaPP()], ids=["model", "RaPP"])
@pytest.mark.parametrize(
    ("metric", "reference"),
    [("AUROC", roc_auc_score), ("average_precision", average_precision_score)],
)
def test_detection_equals_scikit_learn_for_the_configured_score(
    network, task, scorer, metric, reference
):
    tuning, train = (task.prepared.split(name) for name in ("tuning", "train"))
    scores = FittedScorer.fit(network, task.prepared.scaling, scorer, train.x)(tuning.x)
    expected = reference(tuning.anomaly, scores)
    assert Detection(metric)(network, Task(task.prepared, scorer)) == pytest.approx((expected,))


def test_denoising_is_the_psnr_at_a_fixed_noise_factor(network, task, normal):
    (psnr,) = objectives.Denoising(0.5)(network, task)
    clean = torch.from_numpy(task.prepared.scaling(normal))
    torch.manual_seed(1)
    with torch.no_grad():
        noisy = [clean + 0.5 * torch.randn_like(clean) for _ in range(20)]
        mse = torch.stack([(network(x) - clean).square().mean() for x in noisy]).mean()
    assert psnr == pytest.approx(float(-10 * mse.log10()), abs=0.1)
    assert objectives.Denoising(0.5)(network, task) == (psnr,)
    assert objectives.Denoising(1.0)(network, task) < (psnr,)


def test_features_is_the_accuracy_of_nearest_neighbours_of_latent_codes(network, task, normal):
    train, tuning = (task.prepared.split(name) for name in ("train", "tuning"))
    codes, queries = (latent_codes(network, x, task.prepared.scaling) for x in (train.x, normal))
    reference = KNeighborsClassifier(3, algorithm="brute").fit(codes, train.label)
    expected = np.mean(reference.predict(queries) == tuning.label[~tuning.anomaly])
    assert objectives.Features(3)(network, task) == pytest.approx((expected,))


def test_pareto_is_the_validation_error_and_the_code_size(network, task):
    x = torch.from_numpy(task.prepared.scaling(np.array(task.prepared.split("validation").x)))
    with torch.no_grad():
        error = np.square(network(x).numpy() - x.numpy()).mean()
    assert objectives.Pareto()(network, task) == pytest.approx((error, 8))
    assert objectives.ReconstructionError()(network, task) == pytest.approx((error,))


@pytest.mark.parametrize("kind", get_args(AnomalyKind))
def test_synthetic_anomalies_differ_from_their_samples_and_are_detected(
    network, task, normal, kind
):
    scaling = task.prepared.scaling
    anomalies = SyntheticDetection([kind]).anomalies(kind, normal, scaling)
    assert (anomalies.shape, anomalies.dtype) == (normal.shape, normal.dtype)
    # A scar of a digit often is background on background.
    changed = (anomalies != normal).any(axis=(1, 2, 3)).mean()
    assert changed > (0.4 if kind == "scar" else 0.9)
    scores = np.concatenate([errors(network, x, scaling) for x in (normal, anomalies)])
    auroc = roc_auc_score(np.arange(len(scores)) >= len(normal), scores)
    assert SyntheticDetection([kind])(network, task) == pytest.approx((auroc,))
    assert auroc > 0.5


def test_permutation_keeps_the_values_of_each_feature_of_a_table_and_of_each_image(normal):
    table = np.random.default_rng(0).normal(size=(400, 5)).astype(np.float32)
    for x, by_value in ((table, lambda x: np.sort(x, 0)), (normal, _sorted_pixels)):
        permuted = SyntheticDetection(strength=1.0).anomalies("permuted", x, Scaling.none())
        np.testing.assert_array_equal(by_value(permuted), by_value(x))


def test_noise_stays_in_the_range_of_deep_pixels():
    x = np.full((8, 1, 4, 4), 100, np.uint16)
    x[::2] = 65_435
    changed = SyntheticDetection(strength=0.1).anomalies("corrupted", x, Scaling.of_images(65_535))
    assert (abs(changed.astype(int) - x) < 40_000).all()  # 65,536 - 100 if it wrapped around


@pytest.mark.parametrize("kind", ["mixed", "permuted", "corrupted", "scar"])
def test_anomalies_of_large_images_are_those_of_their_tiles(kind):
    rng = np.random.default_rng(0)
    x = stack_padded([rng.integers(0, 256, (1, 24 + i, 25), np.uint8) for i in range(9)])
    scaling = TiledScaling.of(Scaling.of_images(255), Tiling(1, 16, 16, padded=True))
    card = {"scaling": scaling.to_dict()}
    names = ("train", "validation", "tuning")
    prepared = PreparedInMemory(Path("tiled"), card, dict.fromkeys(names, Samples.normal(x)))
    torch.manual_seed(0)
    network = Dense((1, 16, 16), 4, [16]).eval().requires_grad_(False)
    objective, task = SyntheticDetection([kind]), Task(prepared, ModelScore())
    tiles = Tiles(x, scaling.tiling)[:]
    scores = [errors(network, y, WHOLE) for y in (tiles, objective.anomalies(kind, tiles, WHOLE))]
    auroc = roc_auc_score(np.repeat([0, 1], len(tiles)), np.concatenate(scores))
    assert objective(network, task) == pytest.approx((auroc,))


def _sorted_pixels(x: np.ndarray) -> np.ndarray:
    return np.sort(x.reshape(len(x), -1))


def test_synthetic_and_labelled_anomalies_rank_bottlenecks_alike(task, network):
    wide = linear(torch.eye(64), torch.zeros(64), torch.zeros(64))
    for objective in (Detection(), SyntheticDetection()):
        assert objective(network, task)[0] > objective(wide, task)[0]


@pytest.mark.parametrize("name", sorted(path.stem for path in CONFIGS.glob("*.yaml")))
def test_no_objective_reads_the_test_split(network, task, monkeypatch, name):
    objective = StudySpec(Cell("digits", "linear"), name, "default").make_objective()
    read, split = [], Prepared.split
    monkeypatch.setattr(
        Prepared, "split", lambda self, part: read.append(part) or split(self, part)
    )
    objective.check(task, ["latent_dim"] if name != "reconstruction_error" else ["learning_rate"])
    values = objective(network, task)
    assert len(values) == len(objective.names) == len(objective.directions)
    assert np.isfinite(values).all()
    assert read
    assert "test" not in read


@pytest.mark.parametrize(
    "setting", ["latent_dim", "hidden", "projection", "noise_factor", "weight_decay"]
)
def test_the_reconstruction_error_cannot_choose_a_size_or_a_constraint(task, refusal, setting):
    check = objectives.ReconstructionError().check
    sentence = refusal(check, task, ["learning_rate", setting])
    assert f"cannot choose {setting}: a wider code" in sentence
    check(task, ["learning_rate", "schedule"])


def test_data_and_spaces_that_do_not_suit_an_objective_are_rejected(task, refusal):
    assert "latent_dim" in refusal(objectives.Pareto().check, task, ["learning_rate"])
    task.prepared.card["splits"]["tuning"]["anomalies"] = 0
    assert "synthetic" in refusal(Detection().check, task, [])
    prepare("breast_cancer")
    task = Task(Prepared.open(prepared_folder("breast_cancer")), ModelScore())
    assert "one class" in refusal(objectives.Features().check, task, [])
    sentence = refusal(SyntheticDetection(["mixed", "scar"]).check, task, [])
    assert "kinds names scar" in sentence
    assert "--objective synthetic" in sentence


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
def test_invalid_settings_are_rejected(refusal, kind, settings, word):
    config = {"class_path": f"hourglass.tuning.objectives.{kind}", "init_args": settings}
    assert word in refusal(build, config, Objective, "mine.yaml")
