"""The benchmark: alternating contestants, ratios per round, and reasons for missing data."""

import os
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from benchmarks import datasets, fixed, page, pictures, ratios
from benchmarks.cases import BARE, OURS, PYOD, Case, Contestant, Match, matches
from benchmarks.networks import allowance
from benchmarks.running import run_process, turns
from benchmarks.worker import measure

from hourglass.core.paths import prepared_folder
from hourglass.data.prepared_data import Prepared
from hourglass.stages.prepare import prepare

CASE = Case("train", "dense", "digits", batch_size=64, epochs=12, learning_rate=3e-3)


@pytest.fixture
def digits(workspace) -> str:
    """Give the name of a small prepared data set with its warm-up set."""
    prepare("digits")
    datasets.create_missing({CASE.warm_up().data})
    return "digits"


def rows(contestant: Contestant, seconds: list[float], **more: object) -> list[dict]:
    """Return measurements of one contestant at batch 256, one per round."""
    columns = {"task": "train", "network": "dense", "data": "mnist", "batch_size": 256, "epochs": 3}
    columns |= {"device": "cpu", "contestant": contestant.name, "reason": "", "samples": 1000}
    columns |= {"validation_error": 0.1, "AUROC": 0.9, "peak_bytes": 10**7, "data_bytes": 10**6}
    columns |= {"model_bytes": 10**6, **more}
    return [columns | {"round": i, "seconds": value} for i, value in enumerate(seconds)]


def costs() -> pd.DataFrame:
    """Return fixed costs of twice the time of `import torch`."""
    return pd.DataFrame([{fixed.TORCH: 1.0} | dict.fromkeys(fixed.STAGES, 2.0)] * 2)


def test_a_ratio_is_of_measurements_of_the_same_round():
    table = pd.DataFrame(rows(OURS, [1, 2, 4]) + rows(BARE, [3, 2]))
    np.testing.assert_allclose(ratios.ratio(table, BARE.name), [3, 1])
    assert not len(ratios.ratio(table, PYOD.name))


@pytest.mark.parametrize(
    ("value", "lower", "reached"),
    [
        *((1.0, False, "aim"), (0.93, False, "required"), (0.9, False, "no")),
        *((0.9, True, "aim"), (1.1, True, "required"), (1.4, True, "no")),
    ],
)
def test_a_target_names_the_level_that_it_reaches(value, lower, reached):
    target = ratios.Target("speed", 1.2 if lower else 0.92, 1.0, np.array([value]), lower=lower)
    assert target.reached == reached


@pytest.mark.parametrize(("rounds_of_a", "order"), [(3, "abcbcacab"), (1, "abcbccb")])
def test_contestants_take_part_in_all_their_rounds_and_start_one_each(rounds_of_a, order):
    contestants = Contestant("a", "", rounds=rounds_of_a), Contestant("b", ""), Contestant("c", "")
    played = turns([Match(CASE, contestants, 3)])
    assert [contestant.name for *_, contestant in played] == list(order)


def test_the_quick_plan_has_all_contestants_of_the_full_one_on_a_cpu():
    quick, full = (
        {
            (match.case.task, contestant.name)
            for match in matches(is_quick, False)
            for contestant in match.contestants
        }
        for is_quick in (True, False)
    )
    assert quick == full


def test_the_bare_loop_and_hourglass_learn_equally_well_from_the_same_samples(digits):
    ours, bare = (measure(CASE, contestant.function, {}, True) for contestant in (OURS, BARE))
    prepared = Prepared.open(prepared_folder(digits))
    assert ours["samples"] == bare["samples"] == 12 * len(prepared.split("train").x)
    assert ours["validation_error"] == pytest.approx(bare["validation_error"], rel=0.05)
    validation = prepared.split("validation").x / 16
    assert ours["validation_error"] < 0.6 * np.square(validation - 0.5).mean()  # grey images
    assert ours["AUROC"] == pytest.approx(bare["AUROC"], abs=0.03)
    assert min(ours["seconds"], bare["seconds"]) > 0


@pytest.mark.parametrize(
    ("contestant", "reason"),
    [
        (replace(PYOD, needs=("no-such-peer",)), "no-such-peer is not installed"),
        (
            Contestant("a", "benchmarks.nowhere:train"),
            "failed: ModuleNotFoundError: No module named 'benchmarks.nowhere'",
        ),
    ],
    ids=["not installed", "failed"],
)
def test_a_missing_measurement_has_a_reason(contestant, reason):
    assert run_process(CASE, contestant) == {"reason": reason}


def test_the_needed_memory_counts_weights_four_times_and_activations_twice():
    shape, batch = (1, 28, 28), 10
    widths = [784, 256, 32, 256, 784]
    weights = sum(a * b + b for a, b in pairwise(widths))
    # Flatten, linear and ReLU, the code and what follows it, linear and ReLU, linear and Unflatten.
    layers = 784 + 2 * 256 + 2 * 32 + 2 * 256 + 2 * 784
    case = replace(CASE, batch_size=batch)
    assert allowance(case, shape) == 4 * (4 * weights + 2 * batch * layers)


def test_a_shortened_set_keeps_samples_of_both_kinds_with_their_ids(digits):
    datasets.create_missing({"digits-50"})
    full, short = (
        Prepared.open(prepared_folder(name)).split("test") for name in (digits, "digits-50")
    )
    assert len(short.x) == 50
    assert {*short.anomaly} == {True, False}
    at = {name: i for i, name in enumerate(full.id)}
    np.testing.assert_array_equal(short.x, full.x[[at[name] for name in short.id]])


@pytest.mark.slow
def test_a_sparse_set_has_its_size_and_takes_no_space(workspace):
    datasets.create_missing({"sparse-1000000000"})
    folder = prepared_folder("sparse-1000000000")
    assert len(Prepared.open(folder).split("train").x) == 10**9 // (3 * 64 * 64)
    assert (folder / "train/x.npy").stat().st_blocks * 512 < 10**6


def test_the_page_has_all_measurements_and_reasons_for_missing_ones(tmp_path):
    missing = rows(PYOD, [np.nan], reason="pyod is not installed", network="card")
    others = rows(OURS, [1, 1], network="card") + rows(OURS, [2, 2]) + rows(BARE, [2.1, 1.9])
    tables = ratios.Tables(pd.DataFrame(others + missing), costs())
    page.write(tmp_path / "page.md", "images", tables, "python scripts/benchmark.py")
    text = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert "pyod is not installed" in text
    assert "| 1.00 (0.950 to 1.05)" in text
    assert "not measured" in text
    assert "nan" not in text.lower().split()


def test_a_figure_has_a_mark_per_peer_at_the_median(tmp_path):
    table = pd.DataFrame(rows(OURS, [2, 2]) + rows(BARE, [2, 4]) + rows(PYOD, [8, 8]))
    (axes,) = pictures.training(table).axes
    marks = [line for line in axes.lines if line.get_marker() == "o"]
    assert sorted(line.get_xdata()[0] for line in marks) == pytest.approx([1.5, 4])


@pytest.mark.slow
@pytest.mark.real_data
def test_the_quick_benchmark_measures_all_contestants(repository):
    environment = {**os.environ, "PYTHONPATH": str(repository / "src")}
    command = [sys.executable, "scripts/benchmark.py", "--quick"]
    subprocess.run(command, cwd=repository, env=environment, check=True, timeout=900)
    table = pd.read_csv(repository / "build/benchmark-quick/benchmark-measurements.csv")
    failed = table[table.reason.fillna("").str.startswith("failed")]
    assert failed.empty, failed[["contestant", "reason"]]
    assert Path(repository / "build/benchmark-quick/benchmark/training.png").exists()
