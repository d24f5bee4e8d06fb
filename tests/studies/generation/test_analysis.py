"""Generation with a network whose codes are its samples."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from hourglass.data.prepared_data import SPLITS
from hourglass.data.scaling import Scaling
from hourglass.studies.classification.labelled_splits import LabelledSamples
from hourglass.studies.classification.reference_classifier import RealClassifier
from hourglass.studies.generation.analysis import MAX_SAMPLES, analyse_generation, sample_classes
from hourglass.studies.generation.distances import frechet_distance
from hourglass.studies.latent_space import LatentSpace
from hourglass.studies.results import StudyResult
from tests.studies.conftest import project, write_splits

SHAPE, CLASSES = (1, 2, 2), ["all", "left"]  # the last row of the table is named "all" too
SAMPLERS = ["gaussian", "mixture", "uniform"]


@pytest.fixture(scope="module")
def space(tmp_path_factory) -> LatentSpace:
    """Give the space of samples of two distant, narrow classes."""

    def split(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rng = np.random.default_rng(SPLITS.index(name))
        count = {"train": 1200, "test": 900}.get(name, 20)
        label = rng.choice(CLASSES, count)
        x = 0.1 * rng.normal(size=(count, 4)) + np.where(label == "left", -1, 1)[:, None]
        return x.reshape(count, *SHAPE).astype(np.float32), label, np.zeros(count, bool)

    prepared = write_splits(tmp_path_factory.mktemp("data") / "two", split, Scaling.none())
    return LatentSpace.build(prepared, project(SHAPE, np.eye(4)), seed=0)


@pytest.fixture(scope="module")
def classifier() -> RealClassifier:
    """Give an untrained classifier."""
    torch.manual_seed(4)  # it assigns some samples of each class to either class
    options = {"sample_shape": SHAPE, "latent_dim": 6, "channels": (4,)}
    return RealClassifier(CLASSES, **options).eval()


@pytest.fixture(scope="module", autouse=True)
def _enough_samples() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hourglass.studies.generation.analysis.MIN_FRECHET_SAMPLES", 450)
        yield


@pytest.fixture(scope="module")
def result(space, classifier) -> StudyResult:
    return analyse_generation(space, classifier)


@pytest.fixture
def frechet(result) -> pd.Series:
    return result.tables["frechet_distances"].set_index("source").frechet_distance


def test_the_sources_are_real_samples_reconstructions_and_samplers(result, frechet):
    assert list(frechet.index) == ["real", "reconstructions", *SAMPLERS]
    assert list(result.tables["code_distances"].source) == ["real", *SAMPLERS]
    assert (result.tables["frechet_distances"].samples == 450).all()
    assert frechet["reconstructions"] == pytest.approx(frechet["real"], rel=1e-3)
    assert set(result.figures) == {"generated", "code_distances", "generated_classes"}
    for name, value in frechet.items():
        assert result.metrics[f"frechet_distance_{name}"] == value
    assert result.metrics["frechet_distance"] == frechet[SAMPLERS].min()


def test_distances_of_too_few_samples_are_in_the_table_only(space, monkeypatch):
    monkeypatch.setattr("hourglass.studies.generation.analysis.MIN_FRECHET_SAMPLES", 451)
    result = analyse_generation(space, None)
    assert not [name for name in result.metrics if name.startswith("frechet")]
    assert len(result.tables["frechet_distances"]) == 2 + len(SAMPLERS)


@pytest.mark.parametrize("classified", [True, False])
def test_real_samples_are_compared_with_the_other_test_samples(space, classifier, classified):
    order = np.random.default_rng(space.seed).permutation(900)
    x = torch.from_numpy(space.samples.test.x[order])
    with torch.no_grad():
        features = (classifier.encoder(x) if classified else x.flatten(1)).numpy()
    expected = frechet_distance(features[:450], features[450:])
    result = analyse_generation(space, classifier if classified else None)
    assert result.metrics["frechet_distance_real"] == pytest.approx(expected, rel=1e-5)
    assert ("class_agreement" in result.tables) == classified


def test_a_mixture_is_nearest_to_two_classes_and_uniform_is_far(result, frechet):
    assert frechet["real"] < frechet["mixture"]
    assert frechet["mixture"] < frechet["gaussian"] / 4
    assert frechet["gaussian"] < frechet["uniform"] / 4
    far = result.tables["code_distances"].set_index("source").share_far
    assert far["real"] <= 0.02
    assert far["mixture"] < 0.1
    assert far["uniform"] > 0.9


def test_codes_of_a_class_are_distributed_as_that_class(space):
    codes = sample_classes(space)
    assert list(codes) == CLASSES
    for name, sign in (("left", -1), ("all", 1)):
        assert len(codes[name]) == MAX_SAMPLES // 2
        np.testing.assert_allclose(codes[name].mean(0), sign, atol=0.03)
        np.testing.assert_allclose(codes[name].std(0), 0.1, rtol=0.2)


def test_the_agreement_is_the_share_assigned_to_the_class(space, result, classifier):
    correct = []
    for index, codes in enumerate(sample_classes(space).values()):
        with torch.no_grad():
            logits = classifier(torch.from_numpy(codes).reshape(-1, *SHAPE))
        correct.append((logits.argmax(1) == index).double().mean().item())
        assert 0 < correct[-1] < 1
    table = result.tables["class_agreement"]
    assert table["class"].tolist() == [*CLASSES, "all"]
    assert table.class_agreement.tolist() == pytest.approx([*correct, np.mean(correct)])
    assert table.samples.tolist() == [MAX_SAMPLES // 2, MAX_SAMPLES // 2, MAX_SAMPLES]
    assert result.metrics["class_agreement"] == table.class_agreement.iloc[-1]


def test_results_depend_on_the_seed(space, classifier, result):
    again, other = (analyse_generation(replace(space, seed=s), classifier) for s in (0, 1))
    for name, table in result.tables.items():
        pd.testing.assert_frame_equal(table, again.tables[name], check_exact=True)
    assert result.metrics["frechet_distance_mixture"] != other.metrics["frechet_distance_mixture"]


def test_a_class_of_one_code_is_left_out(space):
    y = np.where(np.arange(1200) == 0, 2, space.codes.train.y)
    codes = replace(space.codes, train=LabelledSamples(space.codes.train.x, y))
    rare = replace(space, classes=[*CLASSES, "rare"], codes=codes)
    assert list(sample_classes(rare)) == CLASSES
