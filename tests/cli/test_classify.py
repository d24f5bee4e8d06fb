"""Classifiers on codes: few labels and many, pre-trained and random encoders."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from hourglass import __main__
from hourglass.cli.classify import classify
from hourglass.data.prepared import Prepared
from hourglass.detection.scoring import latent_codes
from hourglass.networks import Network
from hourglass.networks.weights import load
from hourglass.stages.prepare import prepare
from hourglass.stages.train import train
from hourglass.studies.classification import shallow
from hourglass.studies.classification.features import Features, fresh
from hourglass.studies.classification.finetune import FineTuned, FineTuning, finetune
from hourglass.studies.classification.labelled_subsets import Parts, read, stratified
from tests.tracking.test_mlflow import rows
from tests.workspaces import DirectRecorder, FakeRecorder, reseal, set_up, set_yaml, working_in

CELL = ("digits", "undercomplete")
LABELS = (50, 200)
KINDS: tuple[Features, ...] = ("pretrained", "random", "input")
SHORT = FineTuning(epochs=2, learning_rate=0.01, batch_size=32, least_steps=1)


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


@dataclass(frozen=True)
class Outcome:
    """Hold what two calls wrote, and what the first told the recorder."""

    table: pd.DataFrame
    again: pd.DataFrame
    recorder: FakeRecorder


@pytest.fixture(scope="module")
def outcome(trained) -> Outcome:
    """Give every classifier on every kind of features, twice."""
    tables = []
    for recorder in (first := FakeRecorder(), FakeRecorder()):
        with recording(trained, recorder):
            path = classify(*CELL, features=KINDS, labels=LABELS, epochs=6, learning_rate=0.01)
            tables.append(pd.read_csv(trained / path))
    return Outcome(tables[0], tables[1], first)


@pytest.fixture
def table(outcome) -> pd.DataFrame:
    return outcome.table


@pytest.fixture
def recorded(recorder) -> FakeRecorder:
    """Give what `classify` and the stages before it record, in memory."""
    return recorder


@pytest.fixture
def prepared(trained) -> Prepared:
    return Prepared.open(trained / "data/prepared" / CELL[0])


@pytest.fixture
def parts(prepared) -> Parts:
    return read(prepared, seed=0)


@pytest.fixture
def network(trained) -> Network:
    return load(trained / "runs" / Path(*CELL))


def encoded(network: Network, prepared: Prepared, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return network.encode(torch.from_numpy(prepared.scaling(x))).numpy()


def same(state: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return state.keys() == other.keys() and all(torch.equal(state[k], other[k]) for k in state)


# The labels.


@pytest.mark.parametrize("seed", range(5))
def test_every_beginning_of_a_stratified_order_has_the_shares_of_the_whole(seed):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat(np.arange(5), [400, 300, 200, 90, 10]))
    taken = np.cumsum(np.eye(5)[y[stratified(y, seed)]], axis=0)
    shares = np.outer(np.arange(1, 1001), [0.4, 0.3, 0.2, 0.09, 0.01])
    # At most one for rounding, one for the first of each class in front, for itself and others.
    assert np.abs(taken - shares).max() < 3


def test_a_stratified_order_holds_every_sample_once():
    y = np.random.default_rng(0).integers(0, 4, 100)
    assert sorted(stratified(y, 0)) == list(range(100))


def test_as_many_labels_as_classes_are_one_of_each():
    y = np.repeat([0, 1, 2], [500, 10, 2])
    assert sorted(y[stratified(y, 0)[:3]]) == [0, 1, 2]


def test_the_seed_decides_the_subset_and_nothing_else_does():
    y = np.repeat([0, 1], 50)
    assert (stratified(y, 3) == stratified(y, 3)).all()
    assert (stratified(y, 3) != stratified(y, 4)).any()


def test_anomalies_are_no_class(parts):
    for part in vars(parts).values():
        assert set(part.y) == set(range(8))  # the digits 8 and 9 are anomalies


def test_the_parts_are_the_normal_samples_of_the_splits(prepared, parts):
    count = {name: each["normal"] for name, each in prepared.card["splits"].items()}
    assert len(parts.train) == count["train"]
    assert len(parts.validation) == count["validation"] + count["calibration"]
    assert len(parts.test) == count["test"]


def test_samples_keep_their_labels(prepared, parts):
    def pairs(x: np.ndarray, y: np.ndarray) -> list[tuple[bytes, str]]:
        return sorted((each.tobytes(), str(label)) for each, label in zip(x, y, strict=True))

    train, test = prepared.split("train"), prepared.split("test")
    normal = ~test.anomaly
    assert pairs(*vars(parts.train).values()) == pairs(train.x, train.label)
    assert pairs(*vars(parts.test).values()) == pairs(test.x[normal], test.label[normal])


def test_a_class_that_train_does_not_hold_is_an_error_of_every_classifier(
    stage_folder, recorded, network
):
    prepare("digits")
    for name in ("train", "test"):
        path = stage_folder / "data/prepared/digits" / name / "label.npy"
        label = np.load(path)
        # The 7s of train become 6s, those of test stay.
        np.save(path, np.where((label == "7") & (name == "train"), "6", label))
    reseal(stage_folder / "data/prepared/digits")
    prepared = Prepared.open(stage_folder / "data/prepared/digits")
    parts = read(prepared, 0)
    share = np.mean(parts.test.y == -1)
    assert share > 0.05
    assert finetune(network, prepared.scaling, parts, SHORT).test_error >= share


# The table.


def test_the_table_has_a_row_for_everything_that_was_asked_for(table, parts):
    assert list(table) == ["features", "classifier", "labels", "test_error", "seconds"]
    names = ["logistic", "svm", "knn", "softmax"]
    expected = [
        (kind, name, size)
        for kind in KINDS
        for name in names
        for size in (*LABELS, len(parts.train))
        if (kind, name) != ("input", "softmax")
    ]
    assert list(table[["features", "classifier", "labels"]].itertuples(index=False)) == expected


def test_running_twice_gives_the_same_but_for_the_seconds(outcome):
    first, second = (each.drop(columns="seconds") for each in (outcome.table, outcome.again))
    pd.testing.assert_frame_equal(first, second, check_exact=True)


def test_errors_are_shares(table, parts):
    wrong = table.test_error * len(parts.test)
    assert table.test_error.between(0, 1).all()
    np.testing.assert_allclose(wrong, wrong.round(), atol=1e-6)


@pytest.mark.parametrize("size", [*LABELS, None])
@pytest.mark.parametrize("kind", KINDS)
def test_knn_is_scikit_learns_on_codes_by_hand(trained, prepared, parts, table, kind, size):
    folder = trained / "runs" / Path(*CELL)
    train = parts.train.first(size or len(parts.train))
    seen = [prepared.scaling(each.x).reshape(len(each), -1) for each in (train, parts.test)]
    if kind != "input":
        network = load(folder) if kind == "pretrained" else fresh(folder, 0)
        seen = [encoded(network, prepared, each.x) for each in (train, parts.test)]
    expected = 1 - KNeighborsClassifier(7).fit(seen[0], train.y).score(seen[1], parts.test.y)
    row = table.query("features == @kind and classifier == 'knn' and labels == @train.y.size")
    assert row.test_error.item() == pytest.approx(expected)


@pytest.mark.parametrize("size", LABELS)
def test_the_svm_is_the_one_that_validates_best(prepared, parts, network, table, size):
    train = parts.train.first(size)
    seen = {key: encoded(network, prepared, each.x) for key, each in vars(parts).items()}
    svms = [SVC(C=c).fit(seen["train"][:size], train.y) for c in (1, 10)]
    best = max(svms, key=lambda each: each.score(seen["validation"], parts.validation.y))
    row = table.query("features == 'pretrained' and classifier == 'svm' and labels == @size")
    expected = 1 - best.score(seen["test"], parts.test.y)
    assert row.test_error.item() == pytest.approx(expected)


@pytest.mark.parametrize("strengths", [(1e-6, 10.0), (10.0, 1e-6)], ids=str)
def test_validation_chooses_c_with_some_labels_and_all_are_fitted(monkeypatch, parts, strengths):
    monkeypatch.setattr(shallow, "STRENGTHS", {"svm": strengths})
    monkeypatch.setattr(shallow, "CHOSEN_WITH", 100)
    train, validation = (
        replace(part, x=part.x.reshape(len(part), -1)) for part in (parts.train, parts.validation)
    )
    for size in (100, 300):
        found = shallow.fitted("svm", train.first(size), validation)
        assert found.C == 10
        assert found.shape_fit_ == (size, 64)


@pytest.mark.parametrize("name", ["logistic", "svm", "knn", "softmax"])
def test_all_labels_give_less_error_than_few(table, name):
    errors = table.query("features == 'pretrained' and classifier == @name").test_error.tolist()
    assert errors[-1] < errors[0]


@pytest.mark.parametrize("name", ["logistic", "svm", "knn"])
def test_trained_codes_are_better_than_random_ones(table, name):
    mean = table[table.classifier == name].groupby("features").test_error.mean()
    assert mean["pretrained"] < mean["random"] - 0.05


@pytest.mark.parametrize("kind", ["pretrained", "random"])
def test_softmax_with_all_labels_errs_rarely(table, kind):
    errors = table.query("classifier == 'softmax' and features == @kind").test_error.tolist()
    assert errors[-1] < 0.05


def test_random_weights_are_those_of_the_seed_and_of_nothing_else(trained):
    folder = trained / "runs" / Path(*CELL)
    states = [fresh(folder, seed).state_dict() for seed in (1, 1, 2)]
    assert same(states[0], states[1])
    assert not same(states[0], states[2])


def test_a_random_network_is_the_trained_one_but_for_its_weights(trained, network):
    random = fresh(trained / "runs" / Path(*CELL), 0)
    assert type(random) is type(network)
    assert random.init_args == network.init_args
    assert not same(random.state_dict(), network.state_dict())


def test_codes_of_many_batches_are_those_of_one(monkeypatch, network, prepared, parts):
    monkeypatch.setattr("hourglass.detection.inference.BATCH_SIZE", 50)
    found = latent_codes(network, parts.test.x, prepared.scaling)
    expected = encoded(network, prepared, parts.test.x)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_sizes_above_the_number_of_samples_are_dropped(trained, parts):
    with recording(trained, FakeRecorder()):
        path = classify(*CELL, ["knn"], ["pretrained"], [10_000, 60, 60, len(parts.train)])
        found = pd.read_csv(path).labels.tolist()
    assert found == [60, len(parts.train)]


def test_the_command_line_takes_lists_and_prints_the_table(trained, monkeypatch, capsys):
    words = ["hourglass", "classify", *CELL, "--classifiers", "[knn, logistic]", "--labels", "[60]"]
    monkeypatch.setattr(sys, "argv", words)
    with recording(trained, FakeRecorder()):
        __main__.main()
        table = pd.read_csv(Path("runs", *CELL, "classification.csv"))
    output = capsys.readouterr().out
    assert set(table.classifier) == {"knn", "logistic"}
    for error in table.test_error:
        assert f"{error:.4f}" in output


# The record.


def test_every_row_is_a_metric_of_the_cells_run(outcome, parts):
    record = outcome.recorder.record("classify")
    sizes = outcome.table.labels.replace(len(parts.train), "all").tolist()
    expected = {
        f"test_error_{row.features}_{row.classifier}_{size}": row.test_error
        for row, size in zip(outcome.table.itertuples(), sizes, strict=True)
    }
    assert record.latest == pytest.approx(expected)
    assert record.metrics == {}  # a run holds the errors of any table
    assert outcome.recorder.statuses == ["finished"]
    assert "test_error_pretrained_softmax_all" in expected


def test_the_table_is_uploaded(outcome):
    files = outcome.recorder.record("classify").files
    assert files == [(Path("runs", *CELL, "classification.csv"), "")]


@pytest.mark.slow
def test_mlflow_has_one_row_however_often_it_is_measured(stage_folder):
    with recording(stage_folder, DirectRecorder):
        prepare("digits")
        train("digits", "linear")
        for size in (50, 50, 60):
            classify("digits", "linear", ["knn"], ["pretrained"], [size])
    (row,) = rows(stage_folder)
    found = {key for key in row.metrics if key.startswith("test_error")}
    assert found == {f"test_error_pretrained_knn_{size}" for size in (50, 60, "all")}
    assert "classification.csv" in row.artifacts
    assert row.status == "FINISHED"


# Fine-tuning.


@pytest.fixture
def tune(network, prepared, parts) -> Any:
    """Give a function that fine-tunes a little, with some settings changed."""

    def run(**changes: Any) -> FineTuned:
        return finetune(network, prepared.scaling, parts, replace(SHORT, **changes))

    return run


def test_without_epochs_it_is_a_random_layer_on_the_codes(tune, network, prepared, parts):
    found = tune(epochs=0)
    torch.manual_seed(SHORT.seed)
    head = torch.nn.Linear(network.latent_dim, 8)
    with torch.no_grad():
        logits = head(torch.from_numpy(encoded(network, prepared, parts.test.x)))
    assert same(found.classifier.network.state_dict(), network.state_dict())
    assert found.test_error == pytest.approx(np.mean(logits.argmax(1).numpy() != parts.test.y))


def test_the_given_network_stays_as_it_is(tune, network):
    before = {key: value.clone() for key, value in network.state_dict().items()}
    found = tune()
    assert same(network.state_dict(), before)
    assert not same(found.classifier.network.state_dict(), before)


def test_the_decoder_stays_as_it_is(tune, network):
    found = tune(weight_decay=0.1)
    assert same(found.classifier.network.decoder.state_dict(), network.decoder.state_dict())


def test_fine_tuning_twice_gives_the_same_bytes(tune):
    first, second = (tune(masking=0.2, dropout=0.2) for _ in range(2))
    assert same(first.classifier.state_dict(), second.classifier.state_dict())


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"masking": 0.3},
        {"dropout": 0.3},
        {"weight_decay": 0.1},
        {"cosine": False},
        {"learning_rate": 0.001},
        {"batch_size": 64},
        {"least_steps": 100},
    ],
    ids=str,
)
def test_every_setting_has_an_effect(tune, change):
    first, second = tune(), tune(**change)
    assert not same(first.classifier.state_dict(), second.classifier.state_dict())


def test_the_errors_are_those_of_the_classifier_it_returns(tune, prepared, parts):
    found = tune(dropout=0.5)
    for part, error in ((parts.validation, found.validation_error), (parts.test, found.test_error)):
        with torch.no_grad():
            logits = found.classifier(torch.from_numpy(prepared.scaling(part.x)))
        assert error == pytest.approx(np.mean(logits.argmax(1).numpy() != part.y))


def test_the_weights_are_those_of_the_epoch_that_validates_best(tune):
    """A training that ends with that epoch has the same weights."""
    wild = {"learning_rate": 0.3, "cosine": False, "patience": 100}
    whole = tune(**wild, epochs=12)
    assert 0 < whole.epoch < 11
    short = tune(**wild, epochs=whole.epoch + 1)
    assert same(whole.classifier.state_dict(), short.classifier.state_dict())
    errors = [tune(**wild, epochs=k + 1).validation_error for k in range(whole.epoch)]
    assert whole.validation_error < min(errors)


def test_patience_ends_the_training(tune):
    """At a learning rate this small nothing improves after the first epoch."""
    found = tune(epochs=1000, patience=2, learning_rate=1e-12, cosine=False)
    assert found.classifier.current_epoch <= 4


def test_a_loss_that_is_not_finite_is_refused(tune, refusal):
    assert "learning_rate (now 1e+30)" in refusal(tune, learning_rate=1e30, epochs=20)


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": -1},
        {"batch_size": 0},
        {"patience": 0},
        {"least_steps": 0},
        {"learning_rate": 0},
        {"learning_rate": float("nan")},
        {"weight_decay": -1},
        {"dropout": 1},
        {"masking": -0.1},
    ],
    ids=str,
)
def test_a_bad_setting_is_refused(refusal, change):
    ((name, value),) = change.items()
    assert f"{name} is {value}" in refusal(replace, SHORT, **change)


def test_every_variant_has_codes_to_classify_and_an_encoder_to_fine_tune(
    build, variant, prepared, parts
):
    network = build(variant, prepared.sample_shape).network.eval().requires_grad_(False)
    few = Parts(*(part.first(33) for part in vars(parts).values()))  # a batch of one were too small
    assert latent_codes(network, few.test.x, prepared.scaling).shape == (33, network.latent_dim)
    found = finetune(network, prepared.scaling, few, replace(SHORT, epochs=1))
    before, after = network.state_dict(), found.classifier.network.state_dict()
    weights = [key for key in before if key.startswith("encoder.") and key.endswith("weight")]
    assert weights
    assert not any(torch.equal(before[key], after[key]) for key in weights)


# What is refused.


def test_one_class_is_refused(stage_folder, recorded, refusal):
    prepare("breast_cancer")
    train("breast_cancer", "linear")
    assert "'benign'" in refusal(classify, "breast_cancer", "linear")
    assert [each.stage for each in recorded.records] == ["train"]


def test_a_cell_that_was_not_trained_is_refused(stage_folder, recorded, refusal):
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
def test_arguments_that_make_no_table_are_refused(trained, refusal, arguments, word):
    recorder = FakeRecorder()
    with recording(trained, recorder):
        assert word in refusal(classify, *CELL, **arguments)
    assert recorder.statuses == []


def test_weights_that_are_not_finite_are_refused(stage_folder, recorded, refusal):
    from safetensors.numpy import load_file, save_file

    prepare("digits")
    set_yaml(stage_folder / "configs/data/digits.yaml", "training", "max_epochs", value=1)
    path = train("digits", "linear") / "weights.safetensors"
    save_file({key: value * np.float32("nan") for key, value in load_file(path).items()}, path)
    assert "train it again" in refusal(classify, "digits", "linear", ["knn"])
    assert not path.with_name("classification.csv").exists()
