"""Structural similarity against scikit-image, torchmetrics and a naive loop."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.measure import block_reduce
from skimage.metrics import structural_similarity
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from hourglass.networks.similarity import SCALE_EXPONENTS, ms_ssim, scales, ssim, ssim_map


def images(*shape: int, noise: float = 0.2) -> tuple[torch.Tensor, torch.Tensor]:
    """Give smooth images in [0, 1] and noisy copies."""
    rng = np.random.default_rng(0)
    smooth = gaussian_filter(rng.random(shape), [0] * (len(shape) - 2) + [2, 2])
    smooth = (smooth - smooth.min()) / max(np.ptp(smooth), 1e-9)
    noisy = np.clip(smooth + noise * rng.standard_normal(shape), 0, 1)
    return torch.from_numpy(smooth), torch.from_numpy(noisy)


@pytest.mark.parametrize("shape", [(2, 1, 11, 11), (1, 3, 64, 40), (2, 2, 17, 31)], ids=str)
def test_the_map_is_scikit_images_at_every_pixel(shape):
    x, y = images(*shape)
    for a, b, map_ in zip(x.numpy(), y.numpy(), ssim_map(x, y), strict=True):
        settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        _, full = structural_similarity(a, b, data_range=1, channel_axis=0, full=True, **settings)
        np.testing.assert_allclose(map_[0].numpy(), 1 - full.mean(0), atol=1e-12)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 2, 7, 5), (1, 1, 3, 20)], ids=str)
def test_a_smaller_image_has_a_window_that_fits_it(shape):
    x, y = images(*shape)
    expected = np.zeros(shape)
    (height, width), moments = shape[2:], {}
    radii = [min(5, (side - 1) // 2) for side in (height, width)]
    for key, image in {"x": x, "y": y, "xx": x * x, "yy": y * y, "xy": x * y}.items():
        widths = [(0, 0), (0, 0), *[(radius, radius) for radius in radii]]
        padded, moments[key] = np.pad(image.numpy(), widths, "symmetric"), np.zeros(shape)
        window = np.outer(*[np.exp(-(np.arange(-r, r + 1) ** 2) / 4.5) for r in radii])
        for i in range(height):
            for j in range(width):
                part = padded[..., i : i + len(window), j : j + window.shape[1]]
                moments[key][..., i, j] = (part * window).sum((2, 3)) / window.sum()
    a, b, aa, bb, ab = (moments[key] for key in ("x", "y", "xx", "yy", "xy"))
    expected = (2 * a * b + 1e-4) * (2 * (ab - a * b) + 9e-4)
    expected /= (a * a + b * b + 1e-4) * (aa - a * a + bb - b * b + 9e-4)
    np.testing.assert_allclose(ssim_map(x, y)[:, 0].numpy(), 1 - expected.mean(1), atol=1e-12)


def test_the_similarity_of_an_image_is_the_mean_of_the_map():
    x, y = images(3, 2, 20, 30)
    torch.testing.assert_close(ssim(x, y), 1 - ssim_map(x, y).flatten(1).mean(1))
    torch.testing.assert_close(ssim(x, x), torch.ones(3, dtype=x.dtype))
    assert not ssim_map(x.float(), x.float()).any()


@pytest.mark.parametrize("side", [22, 50, 100, 176])
def test_ms_ssim_is_the_weighted_product_of_its_scales(side):
    x, y = images(2, 1, side, side + 3)
    expected = np.ones(2)
    exponents = np.array(SCALE_EXPONENTS[: scales(side, side + 3)])
    exponents /= exponents.sum()
    for i in range(2):
        a, b = x[i, 0].numpy(), y[i, 0].numpy()
        for scale, exponent in enumerate(exponents):
            if scale:
                a, b = (
                    block_reduce(
                        image[: len(image) // 2 * 2, : image.shape[1] // 2 * 2], 2, np.mean
                    )
                    for image in (a, b)
                )
            mean = {
                key: gaussian_filter(image, 1.5, truncate=3.5)
                for key, image in {"a": a, "b": b, "s": a * a + b * b, "p": a * b}.items()
            }
            product, squares = mean["a"] * mean["b"], mean["a"] ** 2 + mean["b"] ** 2
            similarity = (2 * (mean["p"] - product) + 9e-4) / (mean["s"] - squares + 9e-4)
            if scale == len(exponents) - 1:
                similarity *= (2 * product + 1e-4) / (squares + 1e-4)
            expected[i] *= similarity.mean() ** exponent
    np.testing.assert_allclose(ms_ssim(x, y).numpy(), expected, rtol=1e-10)


def test_ms_ssim_is_torchmetrics_except_at_the_border():
    x, y = images(2, 3, 256, 256, noise=0.1)
    reference = multiscale_structural_similarity_index_measure(x, y, data_range=1.0)
    assert ms_ssim(x, y).mean().item() == pytest.approx(reference.item(), abs=2e-3)


@pytest.mark.parametrize("measure", [ssim, ms_ssim])
def test_gradients_are_finite_for_equal_flat_and_opposite_images(measure):
    flat = torch.zeros(1, 1, 32, 32)
    x = torch.cat([flat, flat + 0.5, torch.rand(1, 1, 32, 32)])
    for y in (x, 1 - x):
        z = y.clone().requires_grad_()
        measure(x, z).sum().backward()
        assert z.grad.isfinite().all()


@pytest.mark.parametrize(
    ("side", "count"), [(10, 0), (11, 1), (21, 1), (22, 2), (44, 3), (88, 4), (175, 4), (512, 5)]
)
def test_an_image_is_halved_until_the_window_no_longer_fits(side, count):
    assert scales(side, 600) == count
