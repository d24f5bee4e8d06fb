"""The classifier of real images: trained, kept, and loaded without the trainer."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from hourglass.core.checksums import read_with_checksum, write_with_checksum
from hourglass.data.prepared import SPLITS, Prepared, Samples, write_prepared
from hourglass.data.scaling import Scaling
from hourglass.studies.classification.reference_classifier import (
    FEATURES,
    FILES,
    RealClassifier,
    classes,
    features,
    train_classifier,
)

NAMES = ["one", "two", "zero"]  # sorted, as the classes are


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Prepared:
    """Give scikit-learn's digits 0, 1 and 2 by name, with some 3 as anomalies of test."""
    x, y = load_digits(return_X_y=True)
    x, label = x.reshape(-1, 1, 8, 8).astype(np.uint8), np.array(["zero", "one", "two", "bad"])
    chosen = np.random.default_rng(0).permutation(np.flatnonzero(y < 4))
    normal = chosen[y[chosen] < 3]
    parts = np.split(normal, [250, 300, 350, 370])
    parts[-1] = np.concatenate([parts[-1], chosen[y[chosen] == 3]])
    samples = {
        name: Samples(x[part], label[y[part]], y[part] == 3, part.astype(str))
        for name, part in zip(SPLITS, parts, strict=True)
    }
    card = {"data": "three", "sample_shape": [1, 8, 8], "feature_names": []}
    folder = tmp_path_factory.mktemp("three")
    write_prepared(folder, samples, card | {"scaling": Scaling.of_images(16).to_dict()})
    return Prepared.open(folder)


@pytest.fixture(scope="module")
def trained(prepared) -> tuple[RealClassifier, float]:
    return train_classifier(prepared, 0)


@pytest.fixture(scope="module")
def normal(prepared) -> tuple[np.ndarray, np.ndarray]:
    """Give the scaled normal samples of test, and their labels."""
    test = prepared.split("test")
    return prepared.scaling(test.x[~test.anomaly]), test.label[~test.anomaly]


@pytest.fixture
def classifier(trained) -> RealClassifier:
    return trained[0]


@pytest.fixture
def folder(classifier, tmp_path) -> Path:
    classifier.write(tmp_path)
    return Path(tmp_path)


def test_it_tells_digits_apart_and_its_accuracy_is_that_of_the_normal_test_samples(trained, normal):
    found = classes(trained[0], normal[0])
    assert trained[1] == pytest.approx((found == normal[1]).mean())
    assert trained[1] > 0.95


def test_the_features_are_what_the_last_layer_sees(classifier, normal):
    seen = features(classifier, normal[0])
    assert seen.shape == (len(normal[0]), FEATURES)
    logits = seen @ classifier.head.weight.cpu().numpy().T + classifier.head.bias.cpu().numpy()
    np.testing.assert_array_equal(np.array(NAMES)[logits.argmax(1)], classes(classifier, normal[0]))


def test_batches_change_nothing(classifier, normal, monkeypatch):
    whole = features(classifier, normal[0])
    monkeypatch.setattr("hourglass.detection.inference.BATCH_SIZE", 7)
    np.testing.assert_allclose(features(classifier, normal[0]), whole, rtol=1e-5, atol=1e-5)


def test_the_same_seed_gives_the_same_bytes(classifier, prepared):
    again, _ = train_classifier(prepared, 0)
    for key, value in classifier.state_dict().items():
        assert torch.equal(again.state_dict()[key].cpu(), value.cpu())


def test_a_loaded_classifier_is_the_one_that_was_written(classifier, folder, normal):
    loaded = RealClassifier.load(folder)
    assert sorted(each.name for each in folder.iterdir()) == sorted(FILES)
    assert loaded.class_names == NAMES
    assert not loaded.training
    for function in (features, classes):
        expected = function(classifier, normal[0])
        assert function(loaded, normal[0]).tobytes() == expected.tobytes()


def test_no_decoder_is_kept(classifier):
    assert {key.split(".")[0] for key in classifier.state_dict()} == {"encoder", "head"}


def test_a_missing_or_damaged_file_is_refused(folder, refusal):
    assert "holds no usable classifier" in refusal(RealClassifier.load, folder / "nowhere")
    path = folder / FILES[0]
    card = read_with_checksum(path)
    spec = card["init_args"]
    for damaged in (
        spec | {"class_names": NAMES[:2]},
        spec | {"import_this": "os"},
        {"class_names": NAMES},
    ):
        write_with_checksum(path, card | {"init_args": damaged})
        assert "holds no usable classifier" in refusal(RealClassifier.load, folder)
    path.write_text("{", encoding="utf-8")
    assert "train it again" in refusal(RealClassifier.load, folder)


def test_a_table_is_refused(prepared, refusal):
    table = Prepared(prepared.folder, prepared.card | {"feature_names": ["a"]})
    assert "three is a table" in refusal(train_classifier, table, 0)


@pytest.mark.slow
def test_a_loaded_classifier_needs_no_trainer(folder):
    code = (
        "import sys; from pathlib import Path\n"
        "from hourglass.studies.classification.reference_classifier import RealClassifier\n"
        f"RealClassifier.load(Path({str(folder)!r}))\n"
        "assert not {'pytorch_lightning', 'mlflow', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
