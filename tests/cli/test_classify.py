"""Command `classify`: the table of test errors, its record, and refused arguments."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file, save_file
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from hourglass.cli.classify import Features, classify, untrained_network
from hourglass.cli.main import main
from hourglass.data.prepared_data import Prepared
from hourglass.networks.weights import load
from hourglass.stages.prepare import prepare
from hourglass.stages.train import train
from hourglass.studies.classification.labelled_splits import LabelledSplits, read_labelled_splits
from hourglass.studies.latent_space import encode_splits, flatten_splits
from tests.studies.conftest import same_state
from tests.workspaces import FakeRecorder, set_up, set_yaml, working_in

CELL = ("digits", "undercomplete")
FOLDER = Path("runs", *CELL)
LABELS = (50, 200)
KINDS: tuple[Features, ...] = ("pretrained", "random", "input")
NAMES = ("logistic", "svm", "knn", "softmax")


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """Give a working folder with a trained cell; tests write nothing to it but the table."""
    folder = set_up(tmp_path_factory.mktemp("classify") / "workspace", epochs=40)
    with working_in(folder, FakeRecorder()):
        prepare(CELL[0])
        train(*CELL)
    return folder


@pytest.fixture
def here(trained) -> Iterator[FakeRecorder]:
    """Work next to the trained cell; give a double of the recording."""
    recorder = FakeRecorder()
    with working_in(trained, recorder):
        yield recorder


@dataclass(frozen=True)
class Outcome:
    """The tables of two calls, and the record of the second."""

    table: pd.DataFrame
    again: pd.DataFrame
    recorder: FakeRecorder


@pytest.fixture(scope="module")
def outcome(trained) -> Outcome:
    """Give the results of every classifier on every kind of features, twice."""
    tables = []
    for _ in range(2):
        recorder = FakeRecorder()
        with working_in(trained, recorder):
            path = classify(*CELL, features=KINDS, labels=LABELS, epochs=6, learning_rate=0.01)
            tables.append(pd.read_csv(path))
    return Outcome(tables[0], tables[1], recorder)


@pytest.fixture
def table(outcome) -> pd.DataFrame:
    return outcome.table


@pytest.fixture
def prepared(trained) -> Prepared:
    return Prepared.open(trained / "data/prepared" / CELL[0])


@pytest.fixture
def splits(prepared) -> LabelledSplits:
    return read_labelled_splits(prepared, seed=0)


def test_the_table_has_one_row_per_features_classifier_and_size(outcome, splits):
    table = outcome.table
    assert list(table) == ["features", "classifier", "labels", "test_error", "seconds"]
    expected = [
        (kind, name, size)
        for kind in KINDS
        for name in NAMES
        for size in (*LABELS, len(splits.train))
        if (kind, name) != ("input", "softmax")
    ]
    assert list(table[["features", "classifier", "labels"]].itertuples(index=False)) == expected
    errors = table.test_error * len(splits.test)
    assert table.test_error.between(0, 1).all()
    np.testing.assert_allclose(errors, errors.round(), atol=1e-6)
    first, again = (each.drop(columns="seconds") for each in (table, outcome.again))
    pd.testing.assert_frame_equal(first, again, check_exact=True)


@pytest.mark.parametrize("kind", KINDS)
def test_errors_equal_those_of_scikit_learn_on_features_by_hand(
    trained, prepared, splits, table, kind
):
    features = flatten_splits(splits, prepared.scaling)
    if kind != "input":
        folder = trained / FOLDER / "train"
        network = load(folder) if kind == "pretrained" else untrained_network(folder, 0)
        with torch.no_grad():
            features = encode_splits(splits, network, prepared.scaling)
    validation, test = features.validation, features.test
    for size in (*LABELS, len(splits.train)):
        train = features.train.first(size)
        knn = KNeighborsClassifier(7).fit(train.x, train.y)
        svms = [SVC(C=c).fit(train.x, train.y) for c in (1, 10)]
        svm = max(svms, key=lambda model: model.score(validation.x, validation.y))
        for name, expected in (("knn", knn), ("svm", svm)):
            row = table.query("features == @kind and classifier == @name and labels == @size")
            error = 1 - expected.score(test.x, test.y)
            assert row.test_error.item() == pytest.approx(error), name


def test_more_labels_and_pretraining_reduce_the_error(table):
    for name in NAMES:
        rows = table[table.classifier == name]
        errors = rows[rows.features == "pretrained"].test_error.tolist()
        assert errors[-1] < errors[0]
        if name != "softmax":
            mean = rows.groupby("features").test_error.mean()
            assert mean["pretrained"] < mean["random"] - 0.05
    softmax = table[(table.classifier == "softmax") & (table.labels > max(LABELS))]
    assert (softmax.test_error < 0.05).all()


def test_an_untrained_network_differs_in_weights_only_and_depends_on_the_seed(trained):
    folder = trained / FOLDER / "train"
    network = load(folder)
    first, again, other = (untrained_network(folder, seed) for seed in (1, 1, 2))
    assert type(first) is type(network)
    assert first.init_args == network.init_args
    assert same_state(first.state_dict(), again.state_dict())
    for different in (other, network):
        assert not same_state(first.state_dict(), different.state_dict())


def test_the_command_line_takes_lists_and_drops_sizes_above_the_number_of_samples(
    here, splits, monkeypatch, capsys
):
    words = ["hourglass", "classify", *CELL, "--classifiers", "[knn, logistic]"]
    monkeypatch.setattr("sys.argv", [*words, "--labels", f"[10000, 60, 60, {len(splits.train)}]"])
    main()
    table = pd.read_csv(FOLDER / "classification.csv")
    output = capsys.readouterr().out
    assert set(table.classifier) == {"knn", "logistic"}
    assert set(table.labels) == {60, len(splits.train)}
    assert all(f"{error:.4f}" in output for error in table.test_error)


def test_every_row_is_a_metric_of_the_run_of_the_training(outcome, splits):
    record = outcome.recorder.record("classify")
    sizes = outcome.again.labels.replace(len(splits.train), "all").tolist()
    expected = {
        f"codes/test_error_{row.features}_{row.classifier}_{size}": row.test_error
        for row, size in zip(outcome.again.itertuples(), sizes, strict=True)
    }
    assert record.latest == pytest.approx(expected, rel=1e-4)
    assert record.metrics == {}  # any table may be recorded in the same run
    assert record.files == [(FOLDER / "classification.csv", "")]
    assert outcome.recorder.statuses == ["finished"]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"labels": [7]}, "7"),
        ({"labels": [-1, 100]}, "-1"),
        ({"classifiers": []}, "nothing"),
        ({"features": []}, "nothing"),
        ({"classifiers": ["softmax"], "features": ["input"]}, "nothing"),
        ({"epochs": -1}, "epochs is -1"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
    ],
    ids=str,
)
def test_invalid_arguments_are_refused_before_anything_is_recorded(here, refusal, arguments, word):
    assert word in refusal(classify, *CELL, **arguments)
    assert here.statuses == []


def test_a_single_class_and_weights_that_are_not_finite_are_refused(
    stage_folder, recorder, refusal
):
    prepare("breast_cancer")
    train("breast_cancer", "linear")
    assert "'benign'" in refusal(classify, "breast_cancer", "linear")
    prepare("digits")
    set_yaml(stage_folder / "configs/data/digits.yaml", "training", "max_epochs", value=1)
    path = train("digits", "linear") / "weights.safetensors"
    save_file({key: value * np.float32("nan") for key, value in load_file(path).items()}, path)
    assert "train it again" in refusal(classify, "digits", "linear", ["knn"])
    assert not Path("runs/digits/linear/classification.csv").exists()
