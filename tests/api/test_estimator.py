"""The estimator: equal to the command line, no side effects, usable in scikit-learn's tools."""

import pickle
import pickletools
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import betabinom
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, PredefinedSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import hourglass
from hourglass.api.estimator import Autoencoder
from hourglass.core.paths import Cell
from hourglass.data.columns.codes import codes
from hourglass.data.columns.column import ColumnScaling
from hourglass.data.prepared_data import Prepared
from hourglass.detection.calibrators import KSigma, MaxF1
from hourglass.detection.calibrators.conformal import p_values
from hourglass.detection.detector import Detector
from hourglass.detection.scorers import Mahalanobis, ModelScore
from hourglass.models import VARIANTS
from tests.workspaces import BOLTS, LARGE_IMAGES_ONLY, SERIES_ONLY, calibrated


def correlated(samples: int, seed: int = 1, features: int = 6) -> np.ndarray:
    """Return samples with two latent dimensions, (N, F)."""
    directions = np.random.default_rng(0).normal(size=(2, features))
    rng = np.random.default_rng(seed)
    return rng.normal(size=(samples, 2)) @ directions + 0.1 * rng.normal(size=(samples, features))


@pytest.fixture(scope="module")
def normal() -> np.ndarray:
    return correlated(300)


@pytest.fixture(scope="module")
def fitted(normal) -> Autoencoder:
    return Autoencoder(latent_dim=2, max_epochs=3).fit(normal)


@pytest.mark.parametrize("model", ["undercomplete", "stacked", "variational"])
def test_scores_are_those_of_the_command_line(own_table, recorder, set_yaml, model):
    set_yaml("configs/model/stacked.yaml", "init_args", "pretrain_epochs", value=2)
    set_yaml("params.yaml", "calibration", "init_args", "alpha", value=0.1)
    calibrated((own_table, model))
    cell = Cell(own_table, model)
    prepared, expected = Prepared.open(cell.prepared), Detector.of_cell(cell)
    estimator = Autoencoder(
        model, scorer=ModelScore(), alpha=0.1, latent_dim=2, learning_rate=1e-3, batch_size=32,
        max_epochs=2, patience=2,
        hidden=[256, 128] if model == "stacked" else [4],
        init_args={"pretrain_epochs": 2} if model == "stacked" else None,
    )  # fmt: skip
    x = {name: prepared.x(name) for name in ("train", "validation", "calibration", "test")}
    estimator.fit(x["train"], validation=x["validation"], calibration=x["calibration"])
    scores = expected.scoring(x["test"])
    assert (estimator.anomaly_score(x["test"]) == scores).all()
    assert estimator.detector_.threshold == expected.threshold
    assert (estimator.p_values(x["test"]) == p_values(expected.calibration_scores, scores)).all()
    assert (estimator.detector_.contributions(x["test"]) == expected.contributions(x["test"])).all()


def test_a_linear_autoencoder_is_pca(normal):
    estimator = Autoencoder("linear", latent_dim=2).fit(
        normal, validation=normal[:20], calibration=normal[:20]
    )
    scaler = StandardScaler().fit(normal)
    pca = PCA(2).fit(scaler.transform(normal))
    projected = pca.inverse_transform(pca.transform(scaler.transform(normal)))
    reconstructed = estimator.inverse_transform(estimator.transform(normal))
    np.testing.assert_allclose(reconstructed, scaler.inverse_transform(projected), atol=1e-4)


def test_a_fit_changes_nothing_outside_the_estimator(normal, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)

    def state() -> list:
        generators = random.getstate(), torch.random.get_rng_state().tolist()
        numpy = [str(part) for part in np.random.get_state()]
        flags = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
        return [generators, numpy, flags, *map(str, tmp_path.iterdir())]

    before = state()
    Autoencoder("stacked", max_epochs=1, init_args={"pretrain_epochs": 1}).fit(normal)
    assert state() == before
    assert capfd.readouterr() == ("", "")


def test_fits_in_threads_give_the_same_result(normal, fitted):
    with ThreadPoolExecutor(2) as pool:
        fits = [pool.submit(Autoencoder(latent_dim=2, max_epochs=3).fit, normal) for _ in range(2)]
        scores = [fit.result().anomaly_score(normal) for fit in fits]
    assert all((values == fitted.anomaly_score(normal)).all() for values in scores)


def test_a_pickle_names_no_object_of_torch(fitted):
    arguments = [argument for _, argument, _ in pickletools.genops(pickle.dumps(fitted))]
    texts = [argument for argument in arguments if isinstance(argument, str)]
    assert "hourglass.networks.dense.Dense" in texts
    assert not [text for text in texts if text.startswith("torch")]


def test_a_file_of_joblib_gives_the_same_results(fitted, normal, tmp_path):
    joblib.dump(fitted, tmp_path / "estimator.joblib")
    restored = joblib.load(tmp_path / "estimator.joblib")
    assert (restored.anomaly_score(normal) == fitted.anomaly_score(normal)).all()
    assert restored.explain(normal).equals(fitted.explain(normal))
    assert restored.history_.equals(fitted.history_)


def test_a_scorer_with_state_survives_joblib(normal, tmp_path):
    estimator = Autoencoder(latent_dim=2, max_epochs=1, scorer=Mahalanobis()).fit(normal)
    joblib.dump(estimator, tmp_path / "estimator.joblib")
    restored = joblib.load(tmp_path / "estimator.joblib", mmap_mode="r")
    assert (restored.anomaly_score(normal) == estimator.anomaly_score(normal)).all()


def test_saved_detectors_load_without_the_estimator(fitted, normal, tmp_path):
    fitted.save(tmp_path / "detector")
    detector = Detector.load(tmp_path / "detector")
    assert (detector.scoring(normal) == fitted.anomaly_score(normal)).all()
    assert detector.threshold == fitted.detector_.threshold


def test_random_states(normal):
    def scores(random_state: Any) -> np.ndarray:
        estimator = Autoencoder(latent_dim=2, max_epochs=1, random_state=random_state)
        return estimator.fit(normal).anomaly_score(normal)

    assert (scores(3) == scores(np.int64(3))).all()
    assert (scores(np.random.RandomState(1)) == scores(np.random.RandomState(1))).all()
    assert (scores(None) != scores(None)).any()


def test_the_rate_of_false_alarms_is_alpha(normal):
    estimator = Autoencoder(max_epochs=5, alpha=0.1).fit(normal, calibration=correlated(4000, 2))
    assert (estimator.predict(correlated(4000, 3)) == -1).mean() == pytest.approx(0.1, abs=0.03)


def test_too_few_calibration_samples_give_a_warning_with_the_rate(normal):
    with pytest.warns(UserWarning, match="15 calibration samples .* rate is 0.0625"):
        estimator = Autoencoder(max_epochs=1).fit(normal[:15])
    assert estimator.detector_.threshold.false_alarm_rate == pytest.approx(1 / 16)


@pytest.mark.filterwarnings("error:.*calibration samples")
def test_few_samples_are_calibrated_by_folds_unless_the_caller_gives_calibration_samples(normal):
    threshold = Autoencoder(max_epochs=1).fit(normal[:30]).detector_.threshold
    assert (threshold.method, threshold.n) == ("cross_conformal", 30)
    assert threshold.false_alarm_rate == pytest.approx(1 / 31)
    with pytest.warns(UserWarning, match="5 calibration samples .* rate is 0.167"):
        given = Autoencoder(max_epochs=1).fit(normal[:25], calibration=normal[25:30])
    assert given.detector_.threshold.method == "conformal"


def test_an_explanation_names_the_changed_feature(normal):
    frame = pd.DataFrame(normal, columns=list("abcdef"))
    estimator = Autoencoder("linear", latent_dim=2).fit(frame)
    changed = frame.iloc[[3, 5]].assign(c=10.0)
    explanation = estimator.explain(changed, top=2)
    assert list(explanation.index) == [3, 5]
    assert list(explanation.columns) == [
        "feature_1", "contribution_1", "reason_1", "feature_2", "contribution_2", "reason_2",
    ]  # fmt: skip
    assert list(explanation["feature_1"]) == ["c", "c"]
    assert explanation["reason_1"].str.startswith("c 10, expected ").all()
    largest = estimator.explain(changed).max(axis=1)
    assert (explanation["contribution_1"] == largest).all()


def test_a_list_is_explained_as_an_array(fitted, normal):
    expected = fitted.explain(normal[:2].astype(np.float64))
    pd.testing.assert_frame_equal(fitted.explain(normal[:2].tolist()), expected)


def test_a_detector_is_not_saved_over_a_file(fitted, tmp_path):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(ValueError, match="is a file"):
        fitted.save(tmp_path / "mine")


def test_columns_of_a_dataframe_must_be_those_of_the_fit(normal):
    frame = pd.DataFrame(normal, columns=list("abcdef"))
    estimator = Autoencoder(max_epochs=1).fit(frame)
    with pytest.raises(ValueError, match="same order"):
        estimator.predict(frame[list("fedcba")])
    with pytest.raises(ValueError, match=r"expecting 6 features|Feature names"):
        estimator.predict(frame[list("abc")])


def test_a_search_without_labels_uses_synthetic_anomalies(normal):
    pipeline = make_pipeline(
        StandardScaler(), Autoencoder("linear", scaling="none", scorer=ModelScore())
    )
    search = GridSearchCV(pipeline, {"autoencoder__latent_dim": np.array([2, 6])}, cv=2)
    search.fit(normal)
    # A code as wide as the samples reconstructs all of them, anomalies too.
    assert search.best_params_ == {"autoencoder__latent_dim": 2}
    assert (search.predict(normal) == -1).mean() < 0.2


def test_a_search_with_labels_uses_auroc(normal):
    outliers = np.random.default_rng(3).normal(size=(50, 6))
    x, y = np.concatenate([normal, outliers]), np.repeat([1, -1], [300, 50])
    folds = PredefinedSplit(np.where((np.arange(350) < 200), -1, 0))  # trains on normal rows only
    search = GridSearchCV(
        Autoencoder("linear", scorer=ModelScore()), {"latent_dim": [2, 6]}, scoring="roc_auc",
        cv=folds, refit=False,
    )  # fmt: skip
    search.fit(x, y)
    best = Autoencoder("linear", latent_dim=2, scorer=ModelScore()).fit(x[:200])
    expected = roc_auc_score(y[200:] == -1, best.anomaly_score(x[200:]))
    assert search.best_score_ == pytest.approx(expected)
    assert search.best_params_ == {"latent_dim": 2}


def test_codes_are_columns_of_a_pipeline(normal):
    codes = Autoencoder(latent_dim=2, max_epochs=1).set_output(transform="pandas")
    frame = make_pipeline(FunctionTransformer(), codes).fit_transform(normal)
    assert list(frame.columns) == ["autoencoder0", "autoencoder1"]


@pytest.mark.parametrize("layout", [(40, 8, 8), (40, 3, 8, 8)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_images_keep_their_layout(layout, dtype):
    x = np.random.default_rng(0).integers(0, 256, layout)
    x = x.astype(np.uint8) if dtype == np.uint8 else x / 255
    estimator = Autoencoder(
        "convolutional", latent_dim=3, max_epochs=1, alpha=0.2, init_args={"channels": (2, 3)}
    ).fit(x)
    codes = estimator.transform(x)
    assert codes.shape == (40, 3)
    assert estimator.inverse_transform(codes).shape == layout
    assert estimator.anomaly_score(x).shape == (40,)
    with pytest.raises(ValueError, match=r"8, 6.*convert X"):
        estimator.predict(x[..., :6])


def test_pixels_give_the_same_scores_as_bytes_and_as_fractions():
    x = np.random.default_rng(0).integers(0, 256, (40, 8, 8)).astype(np.uint8)
    scores = [
        Autoencoder(latent_dim=3, max_epochs=1, alpha=0.2).fit(images).anomaly_score(images)
        for images in (x, x / np.float32(255))
    ]
    np.testing.assert_allclose(*scores, rtol=1e-6)


def test_verbose_prints_a_line_per_epoch(normal, capsys):
    Autoencoder(max_epochs=2, verbose=True).fit(normal)
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["epoch 0", "epoch 1"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variant": "denoise"}, "no variant 'denoise'; did you mean 'denoising'"),
        ({"init_args": {"maskin": 0.1}}, "unknown setting 'maskin'; did you mean 'masking'"),
        ({"hidden": "wide"}, "variant 'denoising': .*hidden"),
        ({"variant": "convolutional", "hidden": [3]}, "unknown setting 'hidden'"),
        ({"variant": "undercomplete", "latent_dim": 6}, "narrower than the 6 elements"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"learning_rate": -1.0}, "learning_rate is -1.0"),
        ({"scaling": "cube"}, "scaling is 'cube'; use 'auto', 'standard'"),
        ({"alpha": 1.5}, "alpha is 1.5"),
        ({"random_state": -1}, "random_state is -1; use 0 to"),
        ({"validation_fraction": 0.0}, "validation_fraction is 0.0"),
        ({"calibration_fraction": 0.95}, "validation_fraction and calibration_fraction"),
        ({"calibrator": MaxF1()}, "MaxF1 needs labelled anomalies"),
    ],
)
def test_settings_that_cannot_be_used_are_rejected(normal, settings, message):
    with pytest.raises(ValueError, match=message):
        Autoencoder(**{"max_epochs": 1, **settings}).fit(normal)


def test_another_calibrator(normal):
    estimator = Autoencoder(max_epochs=1, calibrator=KSigma(k=3.0)).fit(normal)
    scores = estimator.detector_.calibration_scores
    assert estimator.threshold_ == pytest.approx(scores.mean() + 3 * scores.std())


def test_channels_must_come_first():
    with pytest.raises(ValueError, match="channels must come first"):
        Autoencoder("convolutional").fit(np.zeros((20, 8, 8, 3), np.uint8))


def test_an_own_class_can_be_the_variant(normal):
    from hourglass.models.undercomplete import Undercomplete

    class Own(Undercomplete):
        """A variant that no settings file could name."""

    estimator = Autoencoder(Own, latent_dim=2, max_epochs=1).fit(normal)
    other = Autoencoder("undercomplete", latent_dim=2, max_epochs=1).fit(normal)
    assert (estimator.anomaly_score(normal) == other.anomaly_score(normal)).all()


def test_variants_are_those_of_the_settings_files():
    import yaml

    from hourglass.api.settings import variant_class

    for path in Path(__file__).parents[2].glob("configs/model/*.yaml"):
        kind = variant_class(path.stem)
        class_path = yaml.safe_load(path.read_text(encoding="utf-8"))["class_path"]
        assert f"{kind.__module__}.{kind.__qualname__}" == class_path


@pytest.mark.parametrize(
    "variant", sorted(VARIANTS.keys() - {*BOLTS} - SERIES_ONLY - LARGE_IMAGES_ONLY)
)
def test_every_variant_has_suggested_settings_for_tables(normal, variant):
    estimator = Autoencoder(variant, max_epochs=1, alpha=0.2).fit(normal[:40])
    scores = estimator.anomaly_score(normal)
    assert np.isfinite(scores).all()
    assert (estimator.anomaly_score(100 * normal) > scores).mean() > 0.9


def mixed(rows: int, seed: int = 0) -> pd.DataFrame:
    """Return a table with columns of all kinds, and missing cells."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(correlated(rows, seed), columns=list("abcdef"))
    frame["site"] = rng.choice(["north", "south", "west"], rows)
    frame["on"] = rng.random(rows) < 0.5
    seconds = rng.integers(0, 9_000_000, rows).astype("timedelta64[s]")
    frame["when"] = np.datetime64("2024-01-01") + seconds
    frame.loc[rng.random(rows) < 0.1, "a"] = np.nan
    return frame


def test_a_column_of_categories_may_hold_numbers():
    frame = mixed(200).assign(grade=np.random.default_rng(0).integers(1, 5, 200))
    kinds = []
    for values in (frame["grade"], frame["grade"].astype("category")):
        fitted = Autoencoder(max_epochs=1).fit(frame.assign(grade=values))
        kinds += [c.kind for c in fitted.detector_.columns if c.name == "grade"]
    assert kinds == ["numeric", "categorical"]


def test_later_rows_of_a_table_with_dates_keep_the_alarm_rate():
    def half_a_year(start: str, seed: int) -> pd.DataFrame:
        rows = mixed(1000, seed).drop(columns=["site", "on"])
        seconds = np.random.default_rng(seed).integers(0, 180 * 86_400, len(rows))
        return rows.assign(when=np.datetime64(start) + seconds.astype("timedelta64[s]"))

    fitted = Autoencoder(max_epochs=20).fit(half_a_year("2024-01-01", 1))
    alarms = (fitted.predict(half_a_year("2024-08-01", 2)) == -1).sum()
    # A conformal threshold of 200 scores has a false-alarm rate from Beta(10, 191) at alpha 0.05.
    assert alarms < betabinom(1000, 10, 191).ppf(0.999)


@pytest.fixture(scope="module")
def fitted_to_frame() -> Autoencoder:
    return Autoencoder(max_epochs=30).fit(mixed(300))


def test_a_frame_with_text_dates_and_missing_cells_is_scored(fitted_to_frame):
    new = mixed(50, seed=1)
    scores = fitted_to_frame.anomaly_score(new)
    assert np.isfinite(scores).all()
    names = ["a", "b", "c", "d", "e", "f", "site", "on", "when"]
    assert list(fitted_to_frame.explain(new).columns) == names
    unknown = new.assign(site="elsewhere")
    assert (fitted_to_frame.anomaly_score(unknown) > scores).mean() > 0.95
    assert (fitted_to_frame.explain(unknown, top=1)["feature_1"] == "site").mean() > 0.9


def test_columns_of_a_new_frame_may_have_another_order_and_type(fitted_to_frame):
    new = mixed(50, seed=1)
    expected = fitted_to_frame.anomaly_score(new)
    other = new.iloc[:, ::-1].astype({"on": str, "when": str}).assign(more="x")
    np.testing.assert_array_equal(fitted_to_frame.anomaly_score(other), expected)
    with pytest.raises(ValueError, match="X has no column 'site'"):
        fitted_to_frame.predict(new.drop(columns="site"))
    with pytest.raises(ValueError, match="give a DataFrame"):
        fitted_to_frame.predict(np.zeros((3, 9)))


def test_columns_that_are_no_features_are_named_in_a_warning():
    frame = mixed(60).assign(row=range(60), unit="bar")
    with pytest.warns(UserWarning, match=r"row \(rises.*unit \(the same value") as caught:
        Autoencoder(max_epochs=1, alpha=0.2).fit(frame)
    assert caught[0].filename == __file__


def test_missing_cells_of_an_array_are_scored(normal):
    x = normal.copy()
    x[::7, 2] = np.nan
    estimator = Autoencoder(latent_dim=2, max_epochs=3).fit(x)
    assert np.isfinite(estimator.anomaly_score(x)).all()


def test_a_row_without_any_value_has_no_score_and_no_alarm(normal, fitted):
    x = normal.copy()
    x[[3, 50]] = np.nan
    without = np.isin(np.arange(len(x)), [3, 50])
    scores = fitted.anomaly_score(x)
    assert np.isnan(scores).tolist() == without.tolist()
    assert np.isnan(fitted.p_values(x)).tolist() == without.tolist()
    assert (fitted.predict(x)[without] == 1).all()
    np.testing.assert_allclose(scores[~without], fitted.anomaly_score(x[~without]), rtol=1e-5)
    trained = [Autoencoder(latent_dim=2, max_epochs=1).fit(rows) for rows in (x, x[~without])]
    assert trained[0].threshold_ == trained[1].threshold_


def test_a_score_that_is_not_finite_is_an_error_in_a_row_with_values(normal):
    estimator = Autoencoder(scorer=ModelScore(), latent_dim=2, max_epochs=1).fit(normal)
    next(estimator.detector_.scoring.network.parameters()).data.fill_(np.nan)
    x = normal[:4].copy()
    x[0] = np.nan
    with pytest.raises(ValueError, match="the score of sample 1 is nan"):
        estimator.anomaly_score(x)


def test_a_loaded_detector_has_the_methods_of_the_estimator(normal, fitted, tmp_path):
    fitted.save(tmp_path)
    loaded, x = hourglass.load(tmp_path), normal.copy()
    x[3] = np.nan
    for name in ("anomaly_score", "score_samples", "decision_function", "predict", "p_values"):
        np.testing.assert_array_equal(getattr(loaded, name)(x), getattr(fitted, name)(x))
    assert (loaded.predict(x) == -1).tolist() == loaded.score(x)["alarm"].fillna(False).tolist()


@pytest.mark.parametrize(
    "cells",
    [
        ["high" if i == 7 else str(i * 0.5) for i in range(60)],
        ["soon" if i == 7 else f"2024-01-{1 + i % 28:02}" for i in range(60)],
    ],
)
def test_a_frame_with_a_few_odd_cells_is_used(cells):
    frame = mixed(60).assign(x=cells)
    detector = Autoencoder(max_epochs=1).fit(frame).detector_
    assert "x" in detector.feature_names
    new = frame[:10].assign(x="odd")
    np.testing.assert_array_equal(
        detector.scoring(codes(new, detector.columns)),
        detector.scoring(codes(new.assign(x=None), detector.columns)),
    )


def test_every_scaling_is_documented():
    assert all(f'"{kind}"' in str(Autoencoder.__doc__) for kind in get_args(ColumnScaling))
