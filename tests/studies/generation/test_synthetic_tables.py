"""Synthetic tables: rows of both kinds, their use, and whether any was copied."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

from hourglass.data.prepared import SPLITS, Prepared, Samples, write_prepared
from hourglass.data.scaling import Scaling
from hourglass.networks import Dense, Network
from hourglass.studies.generation.synthetic_checks import copies, train_on_synthetic
from hourglass.studies.generation.synthetic_tables import (
    RowMaker,
    Rows,
    known_rows,
    synthetic,
    unseen_rows,
)

NAMES = ["a", "b", "c"]


def draw(count: int, seed: int, anomalies: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return rows along a line with a little noise around it, anomalies shifted off it."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 1)) * [1.0, 20.0, 3.0] + rng.normal(size=(count, 3)) * [0.2, 4, 0.6]
    anomaly = np.arange(count) >= count - anomalies
    x[anomaly] += [1.0, -30.0, 3.0]
    return (x + np.array([0, 500, -7])).astype(np.float32), anomaly


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Prepared:
    """Give a small prepared table; its tuning and test splits have anomalies."""
    counts = {"train": (400, 0), "tuning": (80, 40), "test": (200, 40)}
    samples = {}
    for seed, name in enumerate(SPLITS):
        x, anomaly = draw(counts.get(name, (20, 0))[0], seed, counts.get(name, (20, 0))[1])
        label = np.where(anomaly, "bad", "good")
        samples[name] = Samples(x, label, anomaly, np.arange(len(x)).astype(str))
    scaling = Scaling.fit("standard", samples["train"].x).to_dict()
    card = {"data": "lines", "sample_shape": [3], "feature_names": NAMES, "scaling": scaling}
    folder = tmp_path_factory.mktemp("lines")
    write_prepared(folder, samples, card)
    return Prepared.open(folder)


@pytest.fixture(scope="module")
def network(prepared) -> Network:
    """Give a network with one unit: the first principal component of the genuine rows."""
    network = Dense([3], 1)
    x = known_rows(prepared).x[:400]
    axis = torch.from_numpy(np.linalg.svd(x - x.mean(0))[2][:1])
    with torch.no_grad():
        for layer, weight in ((network.encoder[1], axis), (network.decoder[0], axis.T)):  # type: ignore[index]
            layer.weight.copy_(weight)
            layer.bias.zero_()
    return network


@pytest.fixture
def known(prepared) -> Rows:
    return known_rows(prepared)


# The rows.


def test_what_may_be_learnt_from_is_train_and_the_anomalies_of_tuning(prepared, known):
    assert (len(known.x), known.anomaly.sum()) == (440, 40)
    assert not known.anomaly[:400].any()
    tuning = prepared.split("tuning")
    expected = np.concatenate([prepared.split("train").x, tuning.x[tuning.anomaly]])
    np.testing.assert_allclose(known.x, prepared.scaling(expected))


def test_a_frame_is_in_the_units_of_the_raw_table(prepared):
    test = prepared.split("test")
    frame = unseen_rows(prepared).frame(prepared)
    assert list(frame) == [*NAMES, "anomaly"]
    np.testing.assert_allclose(frame[NAMES], test.x, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(frame.anomaly, test.anomaly)


def test_as_many_rows_of_each_kind_are_made_as_are_known(network, known):
    made = synthetic(network, known)
    assert made.x.shape == known.x.shape
    assert made.x.dtype == np.float32
    np.testing.assert_array_equal(made.anomaly, known.anomaly)


def test_made_rows_have_the_mean_and_the_covariance_of_the_known_ones(network, known):
    genuine = known.x[~known.anomaly]
    made = RowMaker.fit(network, genuine)(20_000)
    np.testing.assert_allclose(made.mean(0), genuine.mean(0), atol=0.03)
    np.testing.assert_allclose(np.cov(made, rowvar=False), np.cov(genuine, rowvar=False), atol=0.06)


def test_bare_rows_lie_on_the_line_of_the_reconstructions_and_vary_less(network, known):
    maker = RowMaker.fit(network, known.x[:400])
    bare, full = maker(2_000, residuals=False), maker(2_000)
    within = ((bare > maker.low) & (bare < maker.high)).all(1)
    assert within.mean() > 0.95
    assert np.linalg.matrix_rank(bare[within], tol=1e-2) == 1
    assert (bare.var(0) < full.var(0)).all()


def test_no_value_is_beyond_those_of_its_kind(network, known):
    made = synthetic(network, known)
    for kind in (False, True):
        x, real = made.x[made.anomaly == kind], known.x[known.anomaly == kind]
        assert (x >= real.min(0)).all()
        assert (x <= real.max(0)).all()


def test_the_seed_alone_decides_the_rows(network, known):
    first, again, other = (synthetic(network, known, seed).x for seed in (0, 0, 1))
    assert first.tobytes() == again.tobytes()
    assert np.isin(first, other).all(1).mean() < 0.01  # but for rows of bounds alone


def test_without_anomalies_there_are_genuine_rows_only(network, known):
    made = synthetic(network, Rows(known.x[:401], known.anomaly[:401]))  # one anomaly
    assert len(made.x) == 400
    assert not made.anomaly.any()


def test_images_are_refused(prepared, refusal):
    card = prepared.card | {"feature_names": []}
    assert "lines holds images" in refusal(known_rows, Prepared(prepared.folder, card))


def test_a_feature_that_is_named_as_the_label_is_refused(prepared, known, refusal):
    card = prepared.card | {"feature_names": ["a", "anomaly", "c"]}
    assert "'anomaly'" in refusal(known.frame, Prepared(prepared.folder, card))


# The checks.


def test_a_classifier_of_synthetic_rows_is_judged_on_real_ones(network, prepared, known):
    test = unseen_rows(prepared)
    sets = {"real": known, "synthetic": synthetic(network, known)}
    table = train_on_synthetic(sets, test)
    assert list(table.classifier) == ["logistic", "logistic", "boosting", "boosting"]
    assert list(table.trained_on) == ["real", "synthetic"] * 2
    for row, rows in enumerate(sets.values()):
        model = LogisticRegression(max_iter=1000).fit(rows.x, rows.anomaly)
        score = model.decision_function(test.x)
        assert table.AUROC[row] == pytest.approx(roc_auc_score(test.anomaly, score))
        expected = average_precision_score(test.anomaly, score)
        assert table.average_precision[row] == pytest.approx(expected)
    assert table.AUROC.min() > 0.9


@pytest.mark.parametrize("role", ["train", "test"])
def test_rows_of_one_kind_are_refused(known, prepared, refusal, role):
    genuine = Rows(known.x[:400], known.anomaly[:400])
    arguments = ({role: genuine}, known) if role == "train" else ({"train": known}, genuine)
    assert f"rows of {role} are all of one kind" in refusal(train_on_synthetic, *arguments)


def test_copied_rows_are_counted(network, prepared, known):
    made = synthetic(network, known)
    stolen = Rows(np.concatenate([made.x[:397], known.x[:3], made.x[400:]]), made.anomaly)
    table = copies({"made": made, "stolen": stolen, "all": known}, known, unseen_rows(prepared))
    found = table.set_index(["kind", "source"])
    assert found.exact_copies.to_dict() == {
        **{("genuine", name): count for name, count in
           (("test", 0), ("made", 0), ("stolen", 3), ("all", 400))},
        **{("anomaly", name): count for name, count in
           (("test", 0), ("made", 0), ("stolen", 0), ("all", 40))},
    }  # fmt: skip
    assert found.smallest_distance[("genuine", "stolen")] == 0
    assert found.smallest_distance[("genuine", "made")] > 0
    assert found.share_close[("genuine", "all")] == 1
    assert found.share_close[("genuine", "test")] == pytest.approx(0.01, abs=0.01)


def test_a_kind_without_made_rows_is_left_out(known, prepared):
    genuine = Rows(known.x[:400], known.anomaly[:400])
    table = copies({"made": genuine}, known, unseen_rows(prepared))
    assert set(table.kind) == {"genuine"}


def test_rows_are_written_as_any_table_is(network, prepared, known, tmp_path: Path):
    path = tmp_path / "made.csv"
    synthetic(network, known).frame(prepared).to_csv(path, index=False)
    again = pd.read_csv(path)
    assert again.anomaly.sum() == 40
    assert again.b.mean() == pytest.approx(500, abs=20)
