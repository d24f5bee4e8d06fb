"""The classifier of real images, and its files."""

from pathlib import Path

import numpy as np
import pytest

from hourglass.core.checksums import read_with_checksum, write_with_checksum
from hourglass.studies.classification.reference_classifier import (
    FEATURES,
    SPEC,
    WEIGHTS,
    RealClassifier,
    train_classifier,
)
from tests.studies.classification.conftest import NAMES
from tests.studies.conftest import same_state


@pytest.fixture(scope="module")
def trained(prepared) -> tuple[RealClassifier, float]:
    return train_classifier(prepared, 0)


@pytest.fixture(scope="module")
def normal(prepared) -> tuple[np.ndarray, np.ndarray]:
    """Give the scaled normal test samples, and their labels."""
    test = prepared.split("test")
    return prepared.scaling(test.x[~test.anomaly]), test.label[~test.anomaly]


@pytest.fixture
def classifier(trained) -> RealClassifier:
    return trained[0]


@pytest.fixture
def folder(classifier, tmp_path) -> Path:
    classifier.write(tmp_path)
    return Path(tmp_path)


def test_the_accuracy_is_that_of_the_normal_test_samples(trained, normal):
    predicted = np.array(NAMES)[trained[0].predict(normal[0])]
    assert trained[1] == pytest.approx((predicted == normal[1]).mean())
    assert trained[1] > 0.95


def test_features_are_the_input_of_the_last_layer(classifier, normal, monkeypatch):
    features = classifier.features(normal[0])
    assert features.shape == (len(normal[0]), FEATURES)
    weight, bias = (each.detach().cpu().numpy() for each in classifier.head.parameters())
    logits = features @ weight.T + bias
    np.testing.assert_array_equal(logits.argmax(1), classifier.predict(normal[0]))
    monkeypatch.setattr("hourglass.detection.inference.MAX_BATCH_SAMPLES", 7)
    np.testing.assert_allclose(classifier.features(normal[0]), features, rtol=1e-5, atol=1e-5)


def test_the_same_seed_gives_the_same_bytes(classifier, prepared):
    again, _ = train_classifier(prepared, 0)
    assert same_state(again.state_dict(), classifier.state_dict())
    assert {key.split(".")[0] for key in again.state_dict()} == {"encoder", "head"}  # no decoder


def test_a_loaded_classifier_equals_the_written_one(classifier, folder, normal):
    loaded = RealClassifier.load(folder)
    assert sorted(path.name for path in folder.iterdir()) == [SPEC, WEIGHTS]
    assert loaded.class_names == NAMES
    assert not loaded.training
    assert loaded.features(normal[0]).tobytes() == classifier.features(normal[0]).tobytes()


def test_a_missing_or_damaged_file_is_refused(folder, refusal):
    assert "holds no usable classifier" in refusal(RealClassifier.load, folder / "nowhere")
    path = folder / SPEC
    card = read_with_checksum(path)
    two, unknown = (
        {**card["init_args"], **more} for more in ({"class_names": NAMES[:2]}, {"a": 1})
    )
    for damaged in (two, unknown, {"class_names": NAMES}):
        write_with_checksum(path, card | {"init_args": damaged})
        assert "holds no usable classifier" in refusal(RealClassifier.load, folder)
    path.write_text("{", encoding="utf-8")
    assert "train it again" in refusal(RealClassifier.load, folder)
