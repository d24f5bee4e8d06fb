"""Command `classify`: the table of test errors, its record, and refused arguments."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
from hourglass.networks import Network
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


@contextmanager
def recording(folder: Path, recorder: Any) -> Iterator[None]:
    """Run stages and `classify` in a folder, with a double of the recorder."""
    with working_in(folder, recorder):
        yield


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
    """Work next to the trained cell; give what is recorded."""
    recorder = FakeRecorder()
    with recording(trained, recorder):
        yield recorder


@dataclass(frozen=True)
class Outcome:
    """The tables of two calls, and the record of the first."""

    table: pd.DataFrame
    again: pd.DataFrame
    recorder: FakeRecorder


@pytest.fixture(scope="module")
def outcome(trained) -> Outcome:
    """Give the results of every classifier on every kind of features, twice."""
    tables = []
    for recorder in (first := FakeRecorder(), FakeRecorder()):
        with recording(trained, recorder):
            path = classify(*CELL, features=KINDS, labels=LABELS, epochs=6, learning_rate=0.01)
            tables.append(pd.read_csv(path))
    return Outcome(tables[0], tables[1], first)


@pytest.fixture
def table(outcome) -> pd.DataFrame:
    return outcome.table


@pytest.fixture
def prepared(trained) -> Prepared:
    return Prepared.open(trained / "data/prepared" / CELL[0])


@pytest.fixture
def splits(prepared) -> LabelledSplits:
    return read_labelled_splits(prepared, seed=0)


@pytest.fixture
def network(trained) -> Network:
    return load(trained / FOLDER / "train")


def test_the_table_has_one_row_per_features_classifier_and_size(table, splits):
    assert list(table) == ["features", "classifier", "labels", "test_error", "seconds"]
    expected = [
        (kind, name, size)
        for kind in KINDS
        for name in ("logistic", "svm", "knn", "softmax")
        for size in (*LABELS, len(splits.train))
        if (kind, name) != ("input", "softmax")
    ]
    assert list(table[["features", "classifier", "labels"]].itertuples(index=False)) == expected
    errors = table.test_error * len(splits.test)
    assert table.test_error.between(0, 1).all()
    np.testing.assert_allclose(errors, errors.round(), atol=1e-6)


def test_running_twice_gives_the_same_errors(outcome):
    first, second = (table.drop(columns="seconds") for table in (outcome.table, outcome.again))
    pd.testing.assert_frame_equal(first, second, check_exact=True)


@pytest.mark.parametrize("kind", KINDS)
def test_errors_equal_those_of_scikit_learn_on_features_by_hand(
    trained, prepared, splits, network, table, kind
):
    features = flatten_splits(splits, prepared.scaling)
    if kind != "input":
        random = untrained_network(trained / FOLDER / "train", 0)
        chosen = network if kind == "pretrained" else random
        with torch.no_grad():
            features = encode_splits(splits, chosen, prepared.scaling)
    for size in (*LABELS, len(splits.train)):
        train, validation, test = features.train.first(size), features.validation, features.test
        knn = KNeighborsClassifier(7).fit(train.x, train.y)
        svms = [SVC(C=c).fit(train.x, train.y) for c in (1, 10)]
        svm = max(svms, key=lambda each: each.score(validation.x, validation.y))
        for name, expected in (("knn", knn), ("svm", svm)):
            row = table.query("features == @kind and classifier == @name and labels == @size")
            error = 1 - expected.score(test.x, test.y)
            assert row.test_error.item() == pytest.approx(error), name


def test_more_labels_and_pretraining_reduce_the_error(table):
    for name in ("logistic", "svm", "knn", "softmax"):
        rows = table[table.classifier == name]
        errors = rows[rows.features == "pretrained"].test_error.tolist()
        assert errors[-1] < errors[0]
        if name != "softmax":
            mean = rows.groupby("features").test_error.mean()
            assert mean["pretrained"] < mean["random"] - 0.05
    softmax = table[(table.classifier == "softmax") & (table.labels > max(LABELS))]
    assert (softmax.test_error < 0.05).all()


def test_an_untrained_network_differs_in_weights_only_and_depends_on_the_seed(trained, network):
    folder = trained / FOLDER / "train"
    first, again, other = (untrained_network(folder, seed) for seed in (1, 1, 2))
    assert type(first) is type(network)
    assert first.init_args == network.init_args
    assert same_state(first.state_dict(), again.state_dict())
    for different in (other, network):
        assert not same_state(first.state_dict(), different.state_dict())


def test_sizes_above_the_number_of_samples_are_dropped(here, splits):
    path = classify(*CELL, ["knn"], ["pretrained"], [10_000, 60, 60, len(splits.train)])
    assert pd.read_csv(path).labels.tolist() == [60, len(splits.train)]


def test_the_command_line_takes_lists_and_prints_the_table(here, monkeypatch, capsys):
    words = ["hourglass", "classify", *CELL, "--classifiers", "[knn, logistic]", "--labels", "[60]"]
    monkeypatch.setattr(sys, "argv", words)
    main()
    table = pd.read_csv(FOLDER / "classification.csv")
    output = capsys.readouterr().out
    assert set(table.classifier) == {"knn", "logistic"}
    assert all(f"{error:.4f}" in output for error in table.test_error)


# The record


def test_every_row_is_a_metric_of_the_run_of_the_training(outcome, trained, splits):
    recorded = outcome.recorder.record("classify")
    sizes = outcome.table.labels.replace(len(splits.train), "all").tolist()
    expected = {
        f"test_error_{row.features}_{row.classifier}_{size}": row.test_error
        for row, size in zip(outcome.table.itertuples(), sizes, strict=True)
    }
    assert recorded.latest == pytest.approx(expected)
    assert recorded.metrics == {}  # any table may be recorded in the same run
    assert recorded.files == [(FOLDER / "classification.csv", "")]
    assert outcome.recorder.statuses == ["finished"]


# Refused arguments and cells


@pytest.fixture
def recorded(recorder) -> FakeRecorder:
    """Give what `classify` and the stages before it record, in memory."""
    return recorder


def test_a_single_class_is_refused(stage_folder, recorded, refusal):
    prepare("breast_cancer")
    train("breast_cancer", "linear")
    assert "'benign'" in refusal(classify, "breast_cancer", "linear")


def test_an_untrained_cell_is_refused(stage_folder, recorded, refusal):
    prepare("digits")
    assert "hourglass train digits linear" in refusal(classify, "digits", "linear")


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


def test_weights_that_are_not_finite_are_refused(stage_folder, recorded, refusal):
    prepare("digits")
    set_yaml(stage_folder / "configs/data/digits.yaml", "training", "max_epochs", value=1)
    path = train("digits", "linear") / "weights.safetensors"
    save_file({key: value * np.float32("nan") for key, value in load_file(path).items()}, path)
    assert "train it again" in refusal(classify, "digits", "linear", ["knn"])
    assert not Path("runs/digits/linear/classification.csv").exists()
