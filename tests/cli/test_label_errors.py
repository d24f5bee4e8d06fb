"""Mislabelled samples: flipped labels come first, and nothing but the labels is ranked."""

import functools
import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hourglass import __main__
from hourglass.cli.label_errors import suspects
from hourglass.data.prepared import SPLITS, Prepared
from hourglass.stages.prepare import prepare
from hourglass.studies.label_errors.contact_sheet import grid
from hourglass.studies.label_errors.cross_fitting import class_errors, folds_of, suspicion
from hourglass.studies.label_errors.labelled_samples import read
from tests.workspaces import ROOT, reseal, set_up, set_yaml, working_in

COLUMNS = ["rank", "id", "split", "label", "suspected", "suspicion"]
REAL = os.environ.get("HOURGLASS_DATA")


def flip(folder: Path, share: float, seed: int = 0) -> dict[str, str]:
    """Flip labels of normal samples in a prepared data set; return the true ones, by id."""
    rng, truth = np.random.default_rng(seed), {}
    classes = np.unique(read(Prepared.open(folder)).label)
    for split in SPLITS:
        label, anomaly, names = (
            np.load(folder / split / f"{each}.npy") for each in ("label", "anomaly", "id")
        )
        normal = np.flatnonzero(~anomaly)
        for i in rng.choice(normal, round(share * len(normal)), replace=False):
            truth[str(names[i])] = str(label[i])
            label[i] = rng.choice(classes[classes != label[i]])
        np.save(folder / split / "label.npy", label)
    reseal(folder)
    return truth


@dataclass(frozen=True)
class Outcome:
    """Hold the ranking of a data set some of whose labels were flipped, and what was flipped."""

    folder: Path
    table: pd.DataFrame
    truth: dict[str, str]
    printed: str


@pytest.fixture(scope="module")
def outcome(tmp_path_factory) -> Outcome:
    """Give the ranking of digits; tests write nothing to its folder."""
    folder = set_up(tmp_path_factory.mktemp("suspects") / "workspace", epochs=30)
    with working_in(folder), pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("builtins.print", lambda *words: lines.append(" ".join(map(str, words))))
        truth = flip(prepare("digits"), 0.01)
        path = suspects("digits", top=12)
    return Outcome(folder, pd.read_csv(folder / path, dtype={"label": str}), truth, lines[-1])


@pytest.fixture
def table(outcome) -> pd.DataFrame:
    return outcome.table


@pytest.fixture
def short(stage_folder) -> Path:
    """Give a working folder with digits, whose networks are trained for two epochs."""
    prepare("digits")
    return Path(stage_folder)


@pytest.fixture
def kinds(workspace, own_table) -> str:
    """Give the name of a prepared table whose normal rows are of two kinds."""
    path = workspace / "data/own/own_table.csv"
    frame = pd.read_csv(path)
    frame.loc[::2, "kind"] = frame.kind[::2].replace("good", "fair")
    frame.to_csv(path, index=False)
    config = workspace / "configs/data/own_table.yaml"
    set_yaml(config, "init_args", "normal", value=["good", "fair"])
    prepare(own_table)
    return str(own_table)


# What is ranked.


def test_most_flipped_labels_are_in_the_top_two_percent(outcome):
    top = set(outcome.table.id[: round(0.02 * len(outcome.table))])
    assert len(outcome.truth) >= 12
    assert len(top & outcome.truth.keys()) > 0.8 * len(outcome.truth)


def test_the_suspected_label_of_a_flipped_sample_is_mostly_the_true_one(outcome):
    suspected = outcome.table.set_index("id").suspected.astype(str)
    right = [suspected[each] == true for each, true in outcome.truth.items()]
    assert np.mean(right) > 0.8


def test_a_row_a_normal_sample_and_none_of_an_anomaly(outcome, table):
    assert list(table) == COLUMNS
    prepared = Prepared.open(outcome.folder / "data/prepared/digits")
    expected = {
        (str(name), split, str(label))
        for split in SPLITS
        for name, label, anomaly in zip(
            prepared.split(split).id,
            prepared.split(split).label,
            prepared.split(split).anomaly,
            strict=True,
        )
        if not anomaly
    }
    assert set(table[["id", "split", "label"]].itertuples(index=False, name=None)) == expected
    assert len(table) == len(expected) == 1443
    assert set(table.label) == set("01234567")  # 8 and 9 are anomalies


def test_the_ranks_follow_the_suspicion(table):
    assert list(table["rank"]) == list(range(1, len(table) + 1))
    assert (np.diff(table.suspicion) <= 0).all()
    assert np.isfinite(table.suspicion).all()


def test_no_sample_is_suspected_to_be_what_it_is_labelled(table):
    assert (table.suspected.astype(str) != table.label).all()


def test_as_many_as_top_are_printed_and_drawn(outcome):
    assert outcome.printed.count("digits/") == 12
    folder = outcome.folder / "reports/suspects"
    assert (folder / "digits.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(each.name for each in folder.iterdir()) == ["digits.csv", "digits.png"]


def test_ranking_twice_gives_the_same_bytes(kinds):
    first = suspects(kinds).read_bytes()
    assert suspects(kinds).read_bytes() == first


def test_the_seed_of_params_decides(kinds, workspace):
    first = pd.read_csv(suspects(kinds))
    set_yaml(workspace / "params.yaml", "seed", value=1)
    assert not first.equals(pd.read_csv(suspects(kinds)))


@pytest.mark.parametrize("model", ["linear", "stacked"])  # stacked trains its layers first
def test_other_variants_can_rank(kinds, model):
    first, other = (pd.read_csv(suspects(kinds, each)) for each in ("undercomplete", model))
    assert set(first.id) == set(other.id)
    assert not first.equals(other)


def test_a_table_has_no_picture(kinds, workspace):
    found = pd.read_csv(suspects(kinds))
    assert set(found.label) == {"good", "fair"}
    assert [each.name for each in (workspace / "reports/suspects").iterdir()] == ["own_table.csv"]


# Its parts.


def test_every_fold_has_its_share_of_every_class():
    y = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [100, 31, 10]))
    fold = folds_of(y, 3, seed=0)
    for each, count in enumerate((100, 31, 10)):
        shares = np.bincount(fold[y == each], minlength=3)
        assert set(shares) <= {count // 3, math.ceil(count / 3)}


def test_a_model_never_saw_what_it_judges_and_saw_its_own_class_only():
    x = np.arange(60)
    y = x % 4
    fold = folds_of(y, 3, seed=0)
    judged = np.zeros((60, 4), int)

    def fit(members: np.ndarray):
        assert len(set(y[members])) == 1

        def judge(samples: np.ndarray) -> np.ndarray:
            assert not set(members) & set(samples)
            assert set(fold[members]).isdisjoint(fold[samples])
            return np.full(len(samples), y[members[0]])

        return judge

    for places, each, found in class_errors(x, y, fold, fit):
        assert (found == each).all()
        judged[places, each] += 1
    assert (judged == 1).all()


def test_the_suspicion_is_the_logarithm_of_own_error_over_the_best_other():
    errors = np.array([[1.0, 2.0, 4.0], [3.0, 1.0, 9.0], [0.0, 0.0, 1.0]])
    found, other = suspicion(errors, np.array([0, 2, 0]))
    np.testing.assert_allclose(found, [-math.log(2), math.log(9), 0])
    assert list(other) == [1, 1, 1]


def test_captions_are_drawn_as_they_are():
    images = np.random.default_rng(0).random((11, 3, 4, 5))
    figure = grid(images, ["a$b \N{RIGHTWARDS ARROW} c$"] * 11)
    shown = [axes for axes in figure.axes if axes.get_images()]
    assert len(shown) == 11
    assert {axes.get_title() for axes in shown} == {"a$b \N{RIGHTWARDS ARROW} c$"}
    figure.canvas.draw()


# What is refused.


def test_one_class_is_refused(stage_folder, refusal):
    prepare("breast_cancer")
    assert "'benign'" in refusal(suspects, "breast_cancer")
    assert not Path("reports").exists()


def test_a_class_of_too_few_samples_is_refused(short, refusal):
    path = short / "data/prepared/digits/train/label.npy"
    label = np.load(path).astype("U8")
    label[:3] = "seven"
    np.save(path, label)
    reseal(short / "data/prepared/digits")
    sentence = refusal(suspects, "digits")
    assert "'seven'" in sentence
    assert "3 normal samples" in sentence


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"folds": 1}, "folds is 1"),
        ({"folds": 11}, "folds is 11"),
        ({"top": 0}, "top is 0"),
        ({"model": "undercomplet"}, "configs/model/undercomplet.yaml"),
    ],
    ids=str,
)
def test_a_bad_argument_is_refused(short, refusal, arguments, words):
    assert words in refusal(suspects, "digits", **arguments)
    assert not Path("reports").exists()


def test_a_data_set_that_was_not_prepared_is_refused(stage_folder, refusal):
    assert "hourglass prepare digits" in refusal(suspects, "digits")


def test_a_training_that_diverges_is_refused(short, refusal):
    set_yaml(short / "configs/data/digits.yaml", "model", "learning_rate", value=1e30)
    sentence = refusal(suspects, "digits", "linear")
    assert "learning_rate" in sentence
    assert not Path("reports").exists()


# The command, and real data.


@pytest.mark.slow
def test_the_command_ranks_and_is_quiet_beside_its_table(project):
    project.set("configs/data/digits.yaml", "training", "max_epochs", value=1)
    project.hourglass("prepare", "digits")
    found = project.hourglass("label-errors", "digits", "--folds", "2", "--top", "5")
    assert found.stderr == ""
    assert "of 1443 samples of digits better" in found.stdout
    assert found.stdout.count("digits/") == 5
    files = ["reports/suspects/digits.csv", "reports/suspects/digits.png"]
    assert project.files("reports/suspects") == files


@pytest.mark.parametrize(
    ("words", "model"), [(["digits"], "undercomplete"), (["digits", "linear"], "linear")], ids=str
)
def test_the_variant_is_named_after_the_data_set_if_at_all(monkeypatch, words, model):
    called: dict[str, object] = {}

    @functools.wraps(suspects)
    def note(**arguments: object) -> None:
        called.update(arguments)

    monkeypatch.setitem(__main__.COMMANDS, "label-errors", note)
    monkeypatch.setattr("sys.argv", ["hourglass", "label-errors", *words])
    __main__.main()
    assert called == {"data": "digits", "model": model, "folds": 3, "top": 40}


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.skipif(REAL is None, reason="HOURGLASS_DATA is not set: no real data to test with")
def test_one_percent_of_mnist_s_labels_are_found_in_the_top_two_percent(tmp_path):
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    with working_in(tmp_path), pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOURGLASS_DATA", str(Path(str(REAL)).absolute()))
        truth = flip(prepare("mnist"), 0.01)
        table = pd.read_csv(tmp_path / suspects("mnist"))
    top = set(table.id[: round(0.02 * len(table))])
    assert len(table) == 70_000
    assert len(top & truth.keys()) > 0.8 * len(truth)
