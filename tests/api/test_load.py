"""`hourglass.load`: detectors by cell, folder and registered name, and their methods."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

import hourglass
from hourglass.cli.promote import promote
from hourglass.cli.score import score
from hourglass.core.paths import Cell
from hourglass.data.prepared_data import Prepared
from hourglass.detection.detector import Detector, detector_files
from tests.api.conftest import IMAGES, TABLE
from tests.workspaces import FakeRecorder, working_in


@pytest.fixture
def table(in_workspace):
    return hourglass.load("/".join(TABLE))


@pytest.fixture
def images(in_workspace):
    return hourglass.load("/".join(IMAGES))


def samples_of(data: str) -> np.ndarray:
    return np.array(Prepared.open(Path("data/prepared") / data).split("test").x)


@pytest.fixture
def rows(table) -> pd.DataFrame:
    """Give the test rows with columns reversed, a text column and an index of their own."""
    frame = pd.DataFrame(samples_of(TABLE[0]), columns=table.feature_names)
    frame.index = pd.Index([f"patient {i}" for i in range(len(frame))], name="who")
    return frame[frame.columns[::-1]].assign(comment="none")


@pytest.mark.parametrize("rule", [{}, {"top": 7}, {"false_discovery_rate": 0.2}])
@pytest.mark.parametrize("chunk", [50, 1 << 15])
def test_a_table_gets_the_columns_and_bits_of_the_command(
    table, rows, tmp_path, monkeypatch, chunk, rule
):
    monkeypatch.setattr("hourglass.data.readers.typed_tables.CHUNK_ROWS", chunk)
    monkeypatch.setattr("hourglass.data.frames.FRAME_ROWS", chunk)
    rows.to_parquet(tmp_path / "rows.parquet")
    written = pd.read_parquet(
        score(*TABLE, tmp_path / "rows.parquet", tmp_path / "out.parquet", **rule)
    )
    scored = table.score(rows, **rule)
    assert scored.index.equals(rows.index)
    expected = written.drop(columns="id").set_index(rows.index)
    pd.testing.assert_frame_equal(
        scored, expected, check_exact=True, check_categorical=False, check_dtype=False
    )


def test_images_get_the_bits_of_the_command(images, tmp_path):
    x = samples_of(IMAGES[0])
    np.savez(tmp_path / "x.npz", x=x)
    out = score(*IMAGES, tmp_path / "x.npz", tmp_path / "out.parquet", heat_maps=0)
    expected = pd.read_parquet(out).drop(columns=["id", "heat_map"])
    pd.testing.assert_frame_equal(images.score(x), expected, check_exact=True, check_dtype=False)
    # (N, H, W) is another layout of the same images
    pd.testing.assert_frame_equal(images.score(x[:, 0]), images.score(x), check_exact=True)


def test_defects_are_the_regions_of_the_anomaly_map(images):
    x = samples_of(IMAGES[0])[:60]
    x[:5, :, 2:5, :2] = 16  # dark in all digits
    maps, found = images.anomaly_map(x), images.defects(x)
    assert (maps.shape, maps.dtype) == ((60, 8, 8), np.float32)
    alarms = (maps > images.pixels.threshold.value).sum((1, 2))
    assert alarms.any()
    area = found.groupby("image").area.sum().reindex(range(60), fill_value=0)
    assert area.tolist() == alarms.tolist()


@pytest.mark.parametrize("method", ["anomaly_map", "defects"])
def test_a_table_has_no_anomaly_maps(table, rows, method, refusal):
    assert "has no anomaly maps" in refusal(getattr(table, method), rows)


def test_an_array_is_a_table_in_the_order_of_the_features(table, rows):
    by_name = table.score(rows)
    by_position = table.score(rows[table.feature_names].to_numpy())
    pd.testing.assert_frame_equal(by_name.reset_index(drop=True), by_position, check_exact=True)


def test_lists_tensors_and_frames_of_arrow_are_samples_too(table, rows):
    frame = rows[table.feature_names].reset_index(drop=True)
    for samples in (
        frame.to_numpy().tolist(),
        torch.from_numpy(frame.to_numpy()),
        pa.Table.from_pandas(frame),
    ):
        pd.testing.assert_frame_equal(table.score(samples), table.score(frame))


def test_a_row_with_a_missing_value_is_scored_refused_or_left_unscored(table, rows, refusal):
    rows.iloc[3, 4] = np.nan
    assert np.isfinite(table.score(rows).score).all()
    assert np.isfinite(table.encode(rows)).all()
    assert "row 4" in refusal(table.score, rows, missing="refuse")
    scored = table.score(rows, missing="skip")
    assert scored.score.isna().tolist() == [i == 3 for i in range(len(rows))]
    assert str(scored.alarm.dtype) == "boolean"
    others = table.score(rows.drop(rows.index[3]))
    assert scored["rank"].dropna().tolist() == others["rank"].tolist()


def test_explain_agrees_with_the_top_features_of_score(table, rows):
    scored, explained = table.score(rows), table.explain(rows)
    assert explained.shape == (len(rows), len(table.feature_names))
    assert explained.idxmax(axis=1).tolist() == scored.feature_1.astype(str).tolist()
    assert explained.max(axis=1).tolist() == scored.contribution_1.tolist()
    top = table.explain(rows, top=3)
    assert top.astype(str).equals(scored[list(top)].astype(str))


def test_the_error_of_the_reconstruction_is_the_score(table, images, rows):
    for detector, samples in ((table, rows), (images, samples_of(IMAGES[0]))):
        scaling = detector.scoring.scaling
        x = samples[detector.feature_names].to_numpy() if samples is rows else samples
        error = scaling(np.asarray(detector.reconstruct(samples))) - scaling(x)
        expected = np.square(error).reshape(len(x), -1).mean(1)
        np.testing.assert_allclose(detector.score(samples).score, expected, rtol=1e-4)
    assert images.explain(samples_of(IMAGES[0])).shape == samples_of(IMAGES[0]).shape


def test_codes_have_the_width_of_the_latent_dim(table, rows):
    assert table.encode(rows).shape == (len(rows), table.scoring.network.latent_dim)


def test_a_detector_loads_from_another_folder(table, evaluated, tmp_path, monkeypatch):
    exported = tmp_path / "exported"
    exported.mkdir()
    for path in detector_files(Cell(*TABLE)):
        shutil.copy(path, exported)
    monkeypatch.chdir(tmp_path)
    cell = evaluated / "runs" / Path(*TABLE)
    for loaded in (
        hourglass.load("exported"),
        hourglass.load(cell),
        hourglass.load("/".join(TABLE), workspace=evaluated),
    ):
        assert loaded.weights_sha256 == table.weights_sha256
        assert loaded.threshold == table.threshold
    assert Path.cwd() == tmp_path


def test_a_registered_model_loads_without_its_code(evaluated, tmp_path, rows, refusal):
    folder = shutil.copytree(evaluated, tmp_path / "workspace")
    path = sys.path.copy()
    with working_in(folder, FakeRecorder()):
        promote(*TABLE)
        expected = hourglass.load("/".join(TABLE)).score(rows)
    for source in ("models:/hourglass-breast_cancer@champion", "models:/hourglass-breast_cancer/1"):
        scored = hourglass.load(source, workspace=folder).score(rows)
        assert sys.path == path  # unlike `mlflow.pyfunc.load_model`
        pd.testing.assert_frame_equal(scored, expected, check_exact=True)
    assert "cannot be downloaded" in refusal(hourglass.load, "models:/none@champion", folder)


def test_unknown_names_get_the_nearest_one(in_workspace, refusal):
    message = refusal(hourglass.load, "breast_cancer/undercomplet")
    assert "did you mean 'breast_cancer/undercomplete'" in message
    assert "'digits/convolutional'" in message
    assert "holds no detector" in refusal(hourglass.load, "data/prepared")
    assert "mlflow.db does not exist" in refusal(hourglass.load, "models:/none@champion")
    assert not Path("mlflow.db").exists()
    assert "not a folder" in refusal(hourglass.load, "/".join(TABLE), "absent")


def test_samples_that_do_not_fit_are_refused(table, images, rows, refusal):
    assert "no column 'mean radius'" in refusal(table.score, rows.drop(columns="mean radius"))
    assert "(N, 30)" in refusal(table.score, rows.to_numpy()[:, :5].astype(float))
    assert "no samples" in refusal(table.score, rows[:0])
    assert "uint8" in refusal(images.score, samples_of(IMAGES[0]) / 16)
    assert "takes images" in refusal(images.score, rows)


def test_a_detector_describes_itself(table):
    assert repr(table).startswith("<detector of breast_cancer, 30 features, threshold ")
    assert isinstance(table, Detector)
