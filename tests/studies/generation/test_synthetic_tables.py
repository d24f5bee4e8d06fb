"""Synthetic rows, their utility, and checks for copies."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

from hourglass.data.columns.cell_values import OTHER
from hourglass.data.columns.codes import codes
from hourglass.data.columns.column import Column
from hourglass.data.prepared_data import SPLITS, Prepared
from hourglass.data.table_encoding import TableEncoding
from hourglass.studies.generation.synthetic_tables import (
    Rows,
    analyse_synthetic_rows,
    copy_statistics,
    generate_like,
    generate_rows,
    raw_table,
    real_rows,
    train_on_synthetic,
)
from hourglass.studies.latent_space import LatentSpace
from tests.mixed_tables import SERVICES, detector_of_codes, mixed_columns, mixed_frame
from tests.studies.conftest import project, write_splits
from tests.tables import number_encoding

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
    columns = [Column(name).to_dict() for name in NAMES]
    return write_splits(folder, split, number_encoding(split("train")[0]), columns=columns)


@pytest.fixture(scope="module")
def space(prepared) -> LatentSpace:
    """Give the space of the first principal component of the genuine rows."""
    x = real_rows(prepared)[0].of_kind(False)
    axis = np.linalg.svd(x - x.mean(0))[2][:1]
    return LatentSpace.build(prepared, project((3,), axis), seed=0)


@pytest.fixture
def real(prepared) -> Rows:
    return real_rows(prepared)[0]


@pytest.fixture
def held_out(prepared) -> Rows:
    return real_rows(prepared)[1]


@pytest.fixture
def synthetic(space, real) -> Rows:
    return generate_rows(space.network, real, 0)


def test_training_rows_are_the_training_split_and_the_anomalies_of_tuning(prepared, real):
    assert (len(real.x), real.anomaly.sum()) == (440, 40)
    assert not real.anomaly[:400].any()
    tuning = prepared.split("tuning")
    expected = np.concatenate([prepared.split("train").x, tuning.x[tuning.anomaly]])
    np.testing.assert_allclose(real.x, prepared.scaling(expected))


def test_a_table_has_raw_units(prepared, held_out, refusal):
    split, frame = prepared.split("test"), raw_table(held_out, prepared)
    assert list(frame) == [*NAMES, "anomaly"]
    np.testing.assert_allclose(frame[NAMES], split.x, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(frame.anomaly, split.anomaly)
    columns = [Column(name).to_dict() for name in ("a", "anomaly", "c")]
    other = Prepared(prepared.folder, prepared.card | {"columns": columns})
    assert "'anomaly'" in refusal(raw_table, held_out, other)


def test_each_kind_has_as_many_synthetic_rows_as_real_ones_within_their_range(synthetic, real):
    assert synthetic.x.dtype == np.float32
    np.testing.assert_array_equal(synthetic.anomaly, real.anomaly)
    for kind in (False, True):
        assert (synthetic.of_kind(kind) >= real.of_kind(kind).min(0)).all()
        assert (synthetic.of_kind(kind) <= real.of_kind(kind).max(0)).all()


def test_synthetic_rows_have_the_mean_and_the_covariance_of_real_rows(space, real):
    genuine = np.repeat(real.of_kind(False), 50, axis=0)
    x = generate_like(space.network, genuine, 0, 0)
    np.testing.assert_allclose(x.mean(0), genuine.mean(0), atol=0.03)
    np.testing.assert_allclose(np.cov(x, rowvar=False), np.cov(genuine, rowvar=False), atol=0.06)


def test_rows_depend_on_the_seed_only(space, real, synthetic):
    again, other = (generate_rows(space.network, real, seed).x for seed in (0, 1))
    assert synthetic.x.tobytes() == again.tobytes()
    # Except rows clipped in every feature.
    assert np.isin(synthetic.x, other).all(1).mean() < 0.01


def test_a_single_anomaly_gives_genuine_rows_only(space, real):
    synthetic = generate_rows(space.network, Rows(real.x[:401], real.anomaly[:401]), 0)
    assert len(synthetic.x) == 400
    assert not synthetic.anomaly.any()


def test_classifiers_of_synthetic_rows_are_evaluated_on_real_rows(held_out, real, synthetic):
    sets = {"real": real, "synthetic": synthetic}
    table = train_on_synthetic(sets, held_out, 0)
    assert list(table.classifier) == ["logistic", "logistic", "boosting", "boosting"]
    assert list(table.trained_on) == ["real", "synthetic"] * 2
    for row, rows in enumerate(sets.values()):
        model = LogisticRegression(max_iter=1000).fit(rows.x, rows.anomaly)
        score = model.decision_function(held_out.x)
        assert table.AUROC[row] == pytest.approx(roc_auc_score(held_out.anomaly, score))
        expected = average_precision_score(held_out.anomaly, score)
        assert table.average_precision[row] == pytest.approx(expected)
    assert table.AUROC.min() > 0.9


@pytest.mark.parametrize(("copies", "kinds"), [(0, 2), (3, 2), (400, 1)])
def test_copied_rows_are_counted(synthetic, held_out, real, copies, kinds):
    x = np.concatenate([real.x[:copies], synthetic.x[copies:]])
    synthetic = Rows(x, real.anomaly) if kinds == 2 else Rows(x[:400], real.anomaly[:400])
    table = copy_statistics(synthetic, real, held_out).set_index(["kind", "source"])
    assert len(table) == 2 * kinds  # a kind without synthetic rows is left out
    exact = table.exact_copies.to_dict()
    assert exact.pop(("genuine", "synthetic")) == copies
    assert set(exact.values()) == {0}
    assert (table.smallest_distance[("genuine", "synthetic")] == 0) == (copies > 0)
    assert table.share_close[("genuine", "test")] == pytest.approx(0.01, abs=0.01)
    if copies == 400:
        assert table.share_close[("genuine", "synthetic")] == 1


def test_the_analysis_writes_rows_and_trains_classifiers(space, tmp_path):
    result = analyse_synthetic_rows(space)
    assert list(result.tables) == ["synthetic", "copies", "train_on_synthetic"]
    assert 0.9 < result.metrics["AUROC_of_logistic_trained_on_synthetic_rows"] <= 1
    assert result.metrics["copied_rows"] == 0
    result.tables["synthetic"].to_csv(tmp_path / "rows.csv", index=False)
    read = pd.read_csv(tmp_path / "rows.csv")
    assert read.anomaly.sum() == 40
    assert read.b.mean() == pytest.approx(500, abs=20)


def test_synthetic_rows_of_a_mixed_table_have_its_levels_dates_and_missing_cells(tmp_path):
    columns = mixed_columns()
    columns[3] = Column("when", "datetime", parts=("hour", "trend"))

    def split(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        x = codes(mixed_frame(300, SPLITS.index(name)), columns)
        return x, np.full(300, "good"), np.zeros(300, bool)

    train = split("train")[0]
    encoding = TableEncoding.fit(columns, train)
    described = [column.to_dict() for column in columns]
    prepared = write_splits(tmp_path / "mixed", split, encoding, columns=described)
    network = detector_of_codes(columns, train, split("calibration")[0]).scoring.network
    real = real_rows(prepared)[0]
    frame = raw_table(real, prepared)
    np.testing.assert_array_equal(frame.service, mixed_frame(300, 0).service)
    np.testing.assert_array_equal(frame.TSH.isna(), np.isnan(train[:, 4]))
    assert (frame.when - mixed_frame(300, 0).when).abs().max() < pd.Timedelta(1, "min")
    synthetic = raw_table(generate_rows(network, real, 0), prepared)
    assert set(synthetic.service) <= {*SERVICES, OTHER}
    assert set(synthetic.member) == {"no", "yes"}
    assert synthetic.when.between(frame.when.min(), frame.when.max()).all()
    assert 0.05 < synthetic.TSH.isna().mean() < 0.5
