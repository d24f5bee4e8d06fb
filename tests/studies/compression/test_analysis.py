"""Rate and distortion of networks and of reference methods."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from hourglass.core.atomic import write_json
from hourglass.data.prepared_data import Prepared
from hourglass.data.scaling import Scaling
from hourglass.detection.scoring import errors, reconstructions
from hourglass.evaluation.figures import save
from hourglass.evaluation.figures.comparisons import rates
from hourglass.networks import Dense
from hourglass.studies.compression.analysis import (
    COLUMNS,
    analyse_compression,
    network_rates,
    reference_rates,
)
from hourglass.studies.reference_results import ReferenceResults
from tests.studies.conftest import write_splits

KINDS = pytest.mark.parametrize("channels", [0, 1, 3], ids=["table", "grey", "colour"])


@pytest.fixture
def prepared(tmp_path, smooth_images) -> Callable[[int], Prepared]:
    """Give a function that prepares images with a number of channels, or a table if it is 0."""
    rng = np.random.default_rng(0)

    def split(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        x = rng.normal(size=(120, 6)).astype(np.float32)
        return x, np.full(120, "good"), np.arange(120) % 3 == 2

    def make(channels: int) -> Prepared:
        if channels:
            return smooth_images((channels, 16, 16), 120, white=200)
        return write_splits(tmp_path / "table", split, Scaling.none())

    return make


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
    table = network_rates(model, data)
    assert network_rates(model, data).equals(table)
    whole = table.set_index(["method", "bits"]).loc[("code", 32)]
    expected = errors(model, normal(data), data.scaling).mean()
    assert whole.reconstruction_error == pytest.approx(expected, rel=1e-5)
    assert -10 * np.log10(expected) == pytest.approx(whole.PSNR, abs=1e-4)


def test_reconstructions_of_images_are_clipped_to_the_range_of_pixels(prepared):
    data = prepared(1)
    torch.manual_seed(0)
    model = Dense(data.sample_shape, 2, bounded=False).eval()
    output = reconstructions(model, normal(data), data.scaling)
    assert output.min() < 0
    expected = np.square(output.clip(0, 1) - data.scaling(normal(data))).mean()
    table = network_rates(model, data).set_index(["method", "bits"])
    assert table.reconstruction_error["code", 32] == pytest.approx(expected, rel=1e-5)


def test_bytes_are_units_times_bits_rounded_up_and_all_components_equal_the_code(prepared, network):
    data = prepared(1)
    table = network_rates(network(data, latent_dim=3), data)
    assert list(table) == list(COLUMNS)
    code, truncated = (table[table.method == name] for name in ("code", "truncated"))
    assert code.bits.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 16, 32]
    assert code.bytes.tolist() == [1, 1, 2, 2, 2, 3, 3, 3, 6, 12]
    assert truncated.latent_dim.tolist() == truncated.bytes.tolist() == [1, 2, 3]
    whole = code.reconstruction_error.iloc[-1]
    assert truncated.reconstruction_error.iloc[-1] == pytest.approx(whole, rel=1e-3)


@pytest.mark.parametrize(("quantisation", "bits"), [("fsq", 3 * np.log2(5)), ("vq", 12)])
def test_the_bits_of_a_quantised_code_are_exact(prepared, build, quantisation, bits):
    data = prepared(1)
    settings = {"quantisation": quantisation, "levels": 5, "codebook": 16, "code_size": 1}
    model = build("quantised", data.sample_shape, **settings).network.eval()
    table = network_rates(model, data).set_index("method")
    assert list(table.index) == ["code", "code, by the prior"]
    assert 8 * table.bytes["code"] == pytest.approx(bits)
    expected = errors(model, normal(data), data.scaling).mean()
    np.testing.assert_allclose(table.reconstruction_error, expected, rtol=1e-5)
    x = torch.from_numpy(data.scaling(normal(data)))
    assert 8 * table.bytes["code, by the prior"] == pytest.approx(float(model.prior_bits(x).mean()))


def test_codes_beyond_half_precision_stay_finite(prepared, network):
    data = prepared(0)
    model = network(data)
    model.encoder[-2].weight.data *= 1e6
    assert np.isfinite(network_rates(model, data).reconstruction_error).all()


@KINDS
def test_only_images_are_compared_with_image_files_and_components_reduce_the_error(
    prepared, channels
):
    data = prepared(channels)
    table = reference_rates(data)
    assert reference_rates(data).equals(table)
    files = {"jpeg", "jpeg, without headers", "png"} if channels else set()
    assert set(table.method) == {"pca"} | files
    assert list(table) == list(COLUMNS)
    assert (table.bytes > 0).all()
    error = table[table.method == "pca"].reconstruction_error
    assert (np.diff(error) < 0).all()
    assert error.iloc[-1] < 0.2 * error.iloc[0]


def test_jpeg_is_measured_in_scaled_units(prepared):
    table = reference_rates(prepared(1)).set_index(["method", "quality"])
    # White is 200 in these files and 1 for the network; for JPEG it is 255.
    assert table.PSNR["jpeg", 95] > 40
    assert table.PSNR["jpeg", 95] == table.PSNR["jpeg, without headers", 95]


def test_integers_stay_integers_next_to_loaded_reference_results(space, tmp_path):
    reference_rates(space.prepared).to_csv(tmp_path / "rates.csv", index=False)
    write_json(tmp_path / "references.json", {"of_input": {}})
    table = analyse_compression(space, ReferenceResults.load(tmp_path).rates).tables["rates"]
    assert dict(table.dtypes.astype(str)) == COLUMNS
    assert table.to_csv().splitlines()[1].startswith("0,code,3,,1,1.0,")


def test_the_figure_has_one_line_per_method_of_the_same_style_in_every_panel(prepared, tmp_path):
    panels = {"a$b$": reference_rates(prepared(1)), "table": reference_rates(prepared(0))}
    left, right = rates(panels).axes
    lines = {line.get_label(): line for line in left.get_lines()}
    assert list(lines) == ["pca", "jpeg", "jpeg, without headers", "png (no loss)"]
    assert len({line.get_marker() for line in lines.values()}) == len(lines)
    (pca,) = right.get_lines()
    for style in ("get_marker", "get_color"):
        assert getattr(pca, style)() == getattr(lines["pca"], style)()
    for name in ("one", "two"):
        save(rates(panels), tmp_path / f"{name}.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
