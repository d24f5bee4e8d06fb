"""Cross-conformal calibration: every normal sample is scored by a network that has not seen it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hourglass.data.prepared_data import Prepared, PreparedInMemory, Samples, Split
from hourglass.detection.calibrators import Conformal, MaxF1
from hourglass.detection.folds import FoldScores, fold_count, needs_folds
from hourglass.stages.prepare import prepare
from tests.stages.cells import run_cell
from tests.tables import number_encoding
from tests.workspaces import set_yaml

SIZES: dict[Split, int] = {"train": 20, "validation": 4, "calibration": 6}


def small(split_by: str = "chance", x: np.ndarray | None = None) -> PreparedInMemory:
    """Return splits of 30 samples; the values of a sample are its number, in the order of time."""
    x = np.arange(30.0)[:, None] if x is None else x
    parts = dict(zip(SIZES, np.split(x, [20, 24]), strict=True))
    samples = {
        name: Samples(part, *(np.zeros(len(part), kind) for kind in ("U1", bool, "U1")))
        for name, part in parts.items()
    }
    card = {"split_by": split_by, "scaling": number_encoding(parts["train"]).to_dict()}
    return PreparedInMemory(Path(), card, samples)


class Refits:
    """Detectors whose score is the value of a sample; records what each was trained on."""

    def __init__(self) -> None:
        self.folds: list[tuple[Prepared, np.ndarray]] = []

    def __call__(self, prepared: Prepared) -> Callable[[np.ndarray], np.ndarray]:
        def score(x: np.ndarray) -> np.ndarray:
            self.folds.append((prepared, x[:, 0]))
            return x[:, 0].astype(np.float64)

        return score


@pytest.mark.parametrize("split_by", ["chance", "time"])
def test_each_sample_has_one_score_by_a_network_that_has_not_seen_it(split_by):
    prepared, refits = small(split_by), Refits()
    scores = FoldScores(prepared, refits, seed=0)(prepared.x("calibration")[:, 0])
    assert sorted(scores) == list(range(30))
    assert scores[:6].tolist() == list(range(24, 30))  # the calibration split is a fold
    assert len(refits.folds) == 4
    for fold, held_out in refits.folds:
        seen = np.concatenate([fold.x("train"), fold.x("validation")])[:, 0]
        assert sorted([*seen, *held_out]) == list(range(30))
        assert len(fold.x("train")) == 20  # as many as the deployed network
        expected = number_encoding(fold.x("train"))
        assert fold.scaling.offset == expected.offset
        is_consecutive = (np.diff(held_out) == 1).all()
        assert is_consecutive == (split_by == "time")


def test_copies_are_held_out_together():
    x = np.repeat(np.arange(12.0), 2).astype(np.float32)  # pairs in train and validation
    refits = Refits()
    prepared = small(x=np.append(x, np.arange(12.0, 18.0)).astype(np.float32)[:, None])
    FoldScores(prepared, refits, seed=0)(prepared.x("calibration")[:, 0])
    for fold, held_out in refits.folds:
        assert not set(held_out) & set(fold.x("train")[:, 0])


def test_folds_are_made_once_and_name_the_method_and_their_number():
    prepared, refits = small(), Refits()
    folds = FoldScores(prepared, refits, seed=0)
    own = prepared.x("calibration")[:, 0]
    threshold = folds.describe(Conformal(0.05)(folds(own)))
    folds(own)
    assert len(refits.folds) == 4
    assert (threshold.method, threshold.settings["folds"], threshold.n) == (
        "cross_conformal",
        5,
        30,
    )


def test_a_small_calibration_split_does_not_mean_many_folds():
    assert fold_count(20, 4, 6) == 5
    assert fold_count(9000, 1000, 1) == 10


@pytest.mark.parametrize(
    ("calibrator", "count", "expected"),
    [(Conformal(0.05), 18, True), (Conformal(0.05), 19, False), (MaxF1(), 0, False)],
)
def test_folds_are_for_calibration_splits_that_are_too_small(calibrator, count, expected):
    assert needs_folds(calibrator, count) == expected


@pytest.fixture
def forty(own_table) -> str:
    """Give a table with 40 normal rows, 6 of which are in the calibration split."""
    path = Path("data/own/own_table.csv")
    frame = pd.read_csv(path)
    frame[(frame.index < 40) | (frame.kind == "bad")].to_csv(path, index=False)
    set_yaml(Path(f"configs/data/{own_table}.yaml"), "training", value={"max_epochs": 2})
    return own_table


def test_a_table_of_40_rows_is_calibrated_by_folds_through_all_stages(forty, recorder, capsys):
    prepare(forty)
    assert "cross-conformal scores of 30 samples from 5 folds" in capsys.readouterr().err
    run_cell(forty, "undercomplete")
    folder = Path(f"runs/{forty}/undercomplete")
    threshold = json.loads((folder / "calibrate/threshold.json").read_text(encoding="utf-8"))
    assert threshold["method"] == "cross_conformal"
    assert threshold["n"] == 30
    assert threshold["settings"] == {"alpha": 0.05, "delta": None, "folds": 5}
    assert threshold["false_alarm_rate"] == pytest.approx(1 / 31)
    scores = pd.read_parquet(folder / "evaluate/scores.parquet")
    assert scores.groupby("split").size()["calibration"] == 6
    assert (scores[scores.split == "calibration"].score <= threshold["value"]).all()


def test_folds_that_are_too_small_are_refused_before_the_training(forty, monkeypatch, refusal):
    set_yaml(Path("params.yaml"), "calibration", "init_args", "alpha", value=0.01)
    monkeypatch.setenv("DVC_STAGE", f"prepare@{forty}")
    assert "train, validation and calibration together have 30" in refusal(prepare, forty)
