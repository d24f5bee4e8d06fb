"""Command `label-errors`: flipped labels come first, and every normal sample is ranked."""

import io
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hourglass.cli.label_errors import draw_grid, label_errors
from hourglass.cli.main import main
from hourglass.data.prepared_data import SPLITS, Prepared
from hourglass.stages.prepare import prepare
from tests.studies.conftest import rewrite
from tests.workspaces import set_up, set_yaml, working_in

OUTPUT = Path("reports/label-errors")


def flip(prepared: Prepared) -> dict[str, str]:
    """Flip 1 % of the labels of normal samples; return the true ones by id."""
    rng, truth = np.random.default_rng(0), {}
    classes = np.unique(prepared.split("train").label)
    splits = {str(name): prepared.split(name) for name in SPLITS}

    def change(name: str, label: np.ndarray) -> np.ndarray:
        split = splits[name]
        normal = np.flatnonzero(~split.anomaly)
        for i in rng.choice(normal, round(0.01 * len(normal)), replace=False):
            truth[str(split.id[i])] = str(label[i])
            label[i] = rng.choice(classes[classes != label[i]])
        return label

    rewrite(prepared, change, "label")
    return truth


@dataclass(frozen=True)
class Outcome:
    """The ranking of a data set with flipped labels."""

    folder: Path
    table: pd.DataFrame
    truth: dict[str, str]
    printed: str


@pytest.fixture(scope="module")
def outcome(tmp_path_factory) -> Outcome:
    """Give the ranking of digits; tests write nothing to its folder."""
    folder = set_up(tmp_path_factory.mktemp("label_errors") / "workspace", epochs=30)
    with working_in(folder), redirect_stdout(io.StringIO()) as printed:
        truth = flip(Prepared.open(prepare("digits")))
        path = folder / label_errors("digits", top=12)
    table = pd.read_csv(path, dtype={"label": str, "suspected": str})
    return Outcome(folder, table, truth, printed.getvalue())


@pytest.fixture
def kinds(workspace, own_table) -> str:
    """Give the name of a prepared table of two normal classes, trained for two epochs."""
    path = workspace / "data/own/own_table.csv"
    frame = pd.read_csv(path)
    frame.loc[::2, "kind"] = frame.kind[::2].replace("good", "fair")
    frame.to_csv(path, index=False)
    config = workspace / "configs/data/own_table.yaml"
    set_yaml(config, "init_args", "normal", value=["good", "fair"])
    prepare(own_table)
    return str(own_table)


def test_most_flipped_labels_are_in_the_top_with_their_true_label_suggested(outcome):
    assert len(outcome.truth) >= 12
    top = set(outcome.table.id[: round(0.02 * len(outcome.table))])
    assert len(top & outcome.truth.keys()) > 0.8 * len(outcome.truth)
    suggested = outcome.table.set_index("id").suspected
    assert np.mean([suggested[id] == true for id, true in outcome.truth.items()]) > 0.8


def test_every_normal_sample_has_one_row_in_the_order_of_suspicion(outcome):
    table = outcome.table
    assert list(table) == ["rank", "id", "split", "label", "suspected", "suspicion"]
    prepared = Prepared.open(outcome.folder / "data/prepared/digits")
    expected = {
        (str(id), name, str(label))
        for name in SPLITS
        for split in [prepared.split(name)]
        for id, label in zip(split.id[~split.anomaly], split.label[~split.anomaly], strict=True)
    }
    assert set(table[["id", "split", "label"]].itertuples(index=False, name=None)) == expected
    assert len(table) == len(expected) == 1443
    assert set(table.label) == set("01234567")  # 8 and 9 are anomalies
    assert (table.suspected != table.label).all()
    assert list(table["rank"]) == list(range(1, len(table) + 1))
    assert (np.diff(table.suspicion) <= 0).all()
    assert np.isfinite(table.suspicion).all()


def test_the_first_samples_are_printed_and_drawn(outcome):
    suspicious = (outcome.table.suspicion > 0).sum()
    assert f"likely label errors: {suspicious} of 1443 samples of digits" in outcome.printed
    assert outcome.printed.count("digits/") == 12
    folder = outcome.folder / OUTPUT
    assert (folder / "digits.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in folder.iterdir()) == ["digits.csv", "digits.png"]


def test_the_ranking_of_a_table_depends_on_the_seed_and_has_no_picture(kinds, workspace):
    first = label_errors(kinds).read_bytes()
    assert label_errors(kinds).read_bytes() == first
    assert [path.name for path in OUTPUT.iterdir()] == ["own_table.csv"]
    set_yaml(workspace / "params.yaml", "seed", value=1)
    assert label_errors(kinds).read_bytes() != first


@pytest.mark.parametrize("model", ["linear", "stacked"])  # stacked trains its layers first
def test_other_variants_can_rank(kinds, model):
    default, other = (pd.read_csv(label_errors(kinds, name)) for name in ("undercomplete", model))
    assert set(default.label) == {"good", "fair"}
    assert set(default.id) == set(other.id)
    assert not default.equals(other)


@pytest.mark.parametrize(
    ("key", "value"), [("enable_checkpointing", True), ("precision", "64-true")]
)
def test_settings_of_the_trainer_file_apply_to_the_networks_of_the_classes(
    kinds, workspace, key, value
):
    set_yaml(workspace / "configs/trainer/cpu.yaml", key, value=value)
    assert np.isfinite(pd.read_csv(label_errors(kinds)).suspicion).all()


def test_captions_are_drawn_literally():
    images = np.random.default_rng(0).random((11, 3, 4, 5))
    caption = "a$b \N{RIGHTWARDS ARROW} c$"
    figure = draw_grid(images, [caption] * 11)
    drawn = [axes for axes in figure.axes if axes.get_images()]
    assert [axes.get_title() for axes in drawn] == [caption] * 11
    figure.canvas.draw()


# Refused arguments and data


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"folds": 1}, "folds is 1"),
        ({"folds": 11}, "folds is 11"),
        ({"top": 0}, "top is 0"),
        ({"model": "undercomplet"}, "configs/model/undercomplet.yaml"),
        ({"data": "digits"}, "hourglass prepare digits"),
        ({"data": "breast_cancer"}, "'benign'"),
    ],
    ids=str,
)
def test_an_invalid_argument_is_refused(kinds, refusal, arguments, words):
    prepare("breast_cancer")
    assert words in refusal(label_errors, **({"data": kinds} | arguments))
    assert not Path("reports").exists()


def test_a_class_of_too_few_samples_and_a_training_that_diverges_are_refused(
    kinds, workspace, refusal
):
    set_yaml(workspace / f"configs/data/{kinds}.yaml", "model", "learning_rate", value=1e30)
    assert "learning_rate" in refusal(label_errors, kinds, "undercomplete")
    prepared = Prepared.open(workspace / "data/prepared" / kinds)

    def change(name: str, label: np.ndarray) -> np.ndarray:
        return np.array(["rare"] * 3 + [*label[3:]]) if name == "train" else label

    rewrite(prepared, change, "label")
    assert "class 'rare' of own_table has 3 normal samples" in refusal(label_errors, kinds)
    assert not Path("reports").exists()


@pytest.mark.parametrize(("words", "model"), [([], "undercomplete"), (["linear"], "linear")])
def test_the_variant_is_an_optional_second_argument(kinds, monkeypatch, words, model):
    monkeypatch.setattr("sys.argv", ["hourglass", "label-errors", kinds, *words])
    main()
    written = (OUTPUT / "own_table.csv").read_bytes()
    assert label_errors(kinds, model).read_bytes() == written
