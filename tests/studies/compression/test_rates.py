"""Rate and distortion of networks, and of what stands beside them."""

import numpy as np
import pytest
import torch

from hourglass.detection.scoring import errors, reconstructions
from hourglass.evaluation.figures import save
from hourglass.evaluation.figures.comparisons import rates
from hourglass.networks import Dense
from hourglass.studies.compression.rate_distortion import COLUMNS, of_network, references

KINDS = pytest.mark.parametrize("channels", [0, 1, 3], ids=["table", "grey", "colour"])


@pytest.fixture
def network(build):
    """Give a function that builds an untrained network for a prepared data set."""
    return lambda data, **settings: build("undercomplete", data.sample_shape, **settings).network


def normal(data) -> np.ndarray:
    test = data.split("test")
    return test.x[~test.anomaly]


@KINDS
def test_the_error_of_whole_codes_is_the_reconstruction_error_of_normal_test_samples(
    prepared, network, channels
):
    data = prepared(channels)
    model = network(data)
    table = of_network(model, data).set_index(["method", "bits"])
    expected = errors(model, normal(data), data.scaling).mean()
    assert table.reconstruction_error["code", 32] == pytest.approx(expected, rel=1e-5)
    assert table.PSNR["code", 32] == pytest.approx(-10 * np.log10(expected), abs=1e-4)


def test_networks_may_leave_the_range_of_pixels_as_pca_may(prepared):
    data = prepared(1)
    torch.manual_seed(0)
    model = Dense(data.sample_shape, 2, bounded=False).eval()
    found = reconstructions(model, normal(data), data.scaling)
    assert found.min() < 0
    expected = np.square(found.clip(0, 1) - data.scaling(normal(data))).mean()
    table = of_network(model, data).set_index(["method", "bits"])
    assert table.reconstruction_error["code", 32] == pytest.approx(expected, rel=1e-5)


def test_bytes_are_units_times_bits_in_whole_bytes(prepared, network):
    data = prepared(1)
    table = of_network(network(data, latent_dim=3), data)
    assert list(table) == list(COLUMNS)
    code, truncated = (table[table.method == name] for name in ("code", "truncated"))
    assert code.bits.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 16, 32]
    assert code.bytes.tolist() == [1, 1, 2, 2, 2, 3, 3, 3, 6, 12]
    assert truncated.latent_dim.tolist() == truncated.bytes.tolist() == [1, 2, 3]


def test_all_components_of_a_code_are_the_code(prepared, network):
    data = prepared(1)
    table = of_network(network(data), data)
    whole = table[table.method == "code"].reconstruction_error.iloc[-1]
    kept = table[table.method == "truncated"].reconstruction_error.iloc[-1]
    assert kept == pytest.approx(whole, rel=1e-3)


def test_codes_beyond_half_precision_stay_finite(prepared, network):
    data = prepared(0)
    model = network(data)
    model.encoder[-2].weight.data *= 1e6
    assert np.isfinite(of_network(model, data).reconstruction_error).all()


@KINDS
def test_images_alone_are_compared_with_image_files(prepared, channels):
    table = references(prepared(channels))
    files = {"jpeg", "jpeg, without headers", "png"} if channels else set()
    assert set(table.method) == {"pca"} | files
    assert list(table) == list(COLUMNS)
    assert (table.bytes > 0).all()


@KINDS
def test_more_components_are_less_error(prepared, channels):
    table = references(prepared(channels))
    pca = table[table.method == "pca"]
    assert (np.diff(pca.reconstruction_error) < 0).all()
    # Of tables and waves all components are nearly everything.
    assert pca.reconstruction_error.iloc[-1] < 0.05 * pca.reconstruction_error.iloc[0]


def test_jpeg_is_measured_in_the_scaled_units(prepared):
    table = references(prepared(1)).set_index(["method", "quality"])
    # White is 200 in these files and 1 to the network, as 255 is to JPEG.
    assert table.PSNR["jpeg", 95] > 40
    assert table.PSNR["jpeg", 95] == table.PSNR["jpeg, without headers", 95]


def test_the_same_data_give_the_same_table(prepared, network):
    data = prepared(1)
    model = network(data)
    assert references(data).equals(references(data))
    assert of_network(model, data).equals(of_network(model, data))


def test_a_line_a_method_that_looks_alike_in_every_panel(prepared, tmp_path):
    grey, table = references(prepared(1)), references(prepared(0))
    figure = rates({"a$b$": grey, "table": table})
    left, right = figure.axes
    lines = {line.get_label(): line for line in left.get_lines()}
    assert list(lines) == ["pca", "jpeg", "jpeg, without headers", "png (no loss)"]
    assert len({line.get_marker() for line in lines.values()}) == len(lines)
    (pca,) = right.get_lines()
    assert (pca.get_marker(), pca.get_color()) == (
        lines["pca"].get_marker(),
        lines["pca"].get_color(),
    )
    pictures = []
    for name in ("one", "two"):
        save(rates({"a$b$": grey, "table": table}), tmp_path / f"{name}.png")
        pictures.append((tmp_path / f"{name}.png").read_bytes())
    assert pictures[0] == pictures[1]
