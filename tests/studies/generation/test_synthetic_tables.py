"""Synthetic rows, their utility, and checks for copies."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

from hourglass.data.prepared_data import SPLITS, Prepared
from hourglass.data.scaling import Scaling
from hourglass.networks import Dense, Network
from hourglass.studies.generation.synthetic_tables import (
    RowGenerator,
    Rows,
    copy_statistics,
    generate_rows,
    held_out_rows,
    train_on_synthetic,
    training_rows,
)
from tests.studies.conftest import write_splits

NAMES = ["a", "b", "c"]


def draw(count: int, seed: int, anomalies: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return rows near a line; anomalies are shifted off it."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 1)) * [1.0, 20.0, 3.0] + rng.normal(size=(count, 3)) * [0.2, 4, 0.6]
    anomaly = np.arange(count) >= count - anomalies
    x[anomaly] += [1.0, -30.0, 3.0]
    return (x + np.array([0, 500, -7])).astype(np.float32), anomaly


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Prepared:
    """Give a small table with anomalies in its tuning and test splits."""
    counts = {"train": (400, 0), "tuning": (80, 40), "test": (200, 40)}

    def split(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        count, anomalies = counts.get(name, (20, 0))
        x, anomaly = draw(count, SPLITS.index(name), anomalies)
        return x, np.where(anomaly, "bad", "good"), anomaly

    folder = tmp_path_factory.mktemp("table") / "lines"
    return write_splits(
        folder, split, Scaling.fit("standard", split("train")[0]), feature_names=NAMES
    )


@pytest.fixture(scope="module")
def network(prepared) -> Network:
    """Give a network with one unit: the first principal component of the genuine rows."""
    network = Dense([3], 1)
    x = training_rows(prepared).x[:400]
    axis = torch.from_numpy(np.linalg.svd(x - x.mean(0))[2][:1])
    with torch.no_grad():
        for layer, weight in ((network.encoder[1], axis), (network.decoder[0], axis.T)):  # type: ignore[index]
            layer.weight.copy_(weight)
            layer.bias.zero_()
    return network


@pytest.fixture
def real(prepared) -> Rows:
    return training_rows(prepared)


def test_learnable_rows_are_the_training_split_and_the_anomalies_of_tuning(prepared, real):
    assert (len(real.x), real.anomaly.sum()) == (440, 40)
    assert not real.anomaly[:400].any()
    tuning = prepared.split("tuning")
    expected = np.concatenate([prepared.split("train").x, tuning.x[tuning.anomaly]])
    np.testing.assert_allclose(real.x, prepared.scaling(expected))


def test_a_frame_has_raw_units_and_can_be_read_from_csv(prepared, network, real, tmp_path):
    test = prepared.split("test")
    frame = held_out_rows(prepared).to_frame(prepared)
    assert list(frame) == [*NAMES, "anomaly"]
    np.testing.assert_allclose(frame[NAMES], test.x, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(frame.anomaly, test.anomaly)
    generate_rows(network, real).to_frame(prepared).to_csv(tmp_path / "rows.csv", index=False)
    read = pd.read_csv(tmp_path / "rows.csv")
    assert read.anomaly.sum() == 40
    assert read.b.mean() == pytest.approx(500, abs=20)


def test_each_kind_has_as_many_synthetic_rows_as_real_ones_within_their_range(network, real):
    synthetic = generate_rows(network, real)
    assert synthetic.x.shape == real.x.shape
    assert synthetic.x.dtype == np.float32
    np.testing.assert_array_equal(synthetic.anomaly, real.anomaly)
    for kind in (False, True):
        x, expected = synthetic.x[real.anomaly == kind], real.x[real.anomaly == kind]
        assert (x >= expected.min(0)).all()
        assert (x <= expected.max(0)).all()


def test_synthetic_rows_have_the_mean_and_the_covariance_of_real_rows(network, real):
    genuine = real.x[~real.anomaly]
    x = RowGenerator.fit(network, genuine)(20_000)
    np.testing.assert_allclose(x.mean(0), genuine.mean(0), atol=0.03)
    np.testing.assert_allclose(np.cov(x, rowvar=False), np.cov(genuine, rowvar=False), atol=0.06)


def test_rows_without_residuals_lie_on_the_line_of_reconstructions(network, real):
    generator = RowGenerator.fit(network, real.x[:400])
    bare, full = generator(2_000, residuals=False), generator(2_000)
    within = ((bare > generator.low) & (bare < generator.high)).all(1)
    assert within.mean() > 0.95
    assert np.linalg.matrix_rank(bare[within], tol=1e-2) == 1
    assert (bare.var(0) < full.var(0)).all()


def test_rows_depend_on_the_seed_only(network, real):
    first, again, other = (generate_rows(network, real, seed).x for seed in (0, 0, 1))
    assert first.tobytes() == again.tobytes()
    assert np.isin(first, other).all(1).mean() < 0.01  # except rows clipped in every feature


def test_a_single_anomaly_gives_genuine_rows_only(network, real):
    synthetic = generate_rows(network, Rows(real.x[:401], real.anomaly[:401]))
    assert len(synthetic.x) == 400
    assert not synthetic.anomaly.any()


@pytest.mark.parametrize(
    ("names", "message"), [([], "lines holds images"), (["a", "anomaly", "c"], "'anomaly'")]
)
def test_images_and_a_feature_named_like_the_label_are_refused(prepared, refusal, names, message):
    other = Prepared(prepared.folder, prepared.card | {"feature_names": names})
    assert message in refusal(lambda: training_rows(other).to_frame(other))


def test_classifiers_of_synthetic_rows_are_evaluated_on_real_rows(network, prepared, real):
    test = held_out_rows(prepared)
    sets = {"real": real, "synthetic": generate_rows(network, real)}
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
def test_rows_of_one_kind_are_refused(real, refusal, role):
    genuine = Rows(real.x[:400], real.anomaly[:400])
    arguments = ({role: genuine}, real) if role == "train" else ({"train": real}, genuine)
    assert f"the {role} rows are all genuine or all anomalous" in refusal(
        train_on_synthetic, *arguments
    )


def test_copied_rows_are_counted(network, prepared, real):
    synthetic = generate_rows(network, real)
    copied = Rows(np.concatenate([synthetic.x[:397], real.x[:3], synthetic.x[400:]]), real.anomaly)
    sources = {"synthetic": synthetic, "copied": copied, "all": real}
    table = copy_statistics(sources, real, held_out_rows(prepared)).set_index(["kind", "source"])
    expected = {"genuine": (0, 0, 3, 400), "anomaly": (0, 0, 0, 40)}
    assert table.exact_copies.to_dict() == {
        (kind, source): count
        for kind, counts in expected.items()
        for source, count in zip(("test", *sources), counts, strict=True)
    }
    assert table.smallest_distance[("genuine", "copied")] == 0
    assert table.smallest_distance[("genuine", "synthetic")] > 0
    assert table.share_close[("genuine", "all")] == 1
    assert table.share_close[("genuine", "test")] == pytest.approx(0.01, abs=0.01)


def test_a_kind_without_synthetic_rows_is_left_out(real, prepared):
    genuine = Rows(real.x[:400], real.anomaly[:400])
    table = copy_statistics({"synthetic": genuine}, real, held_out_rows(prepared))
    assert set(table.kind) == {"genuine"}
