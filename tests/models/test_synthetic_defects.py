"""Synthetic defects against their definitions: naive Perlin noise, patches of the same image."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from hourglass.models import Convolutional
from hourglass.models.corruption import Corruption
from hourglass.models.synthetic_defects import (
    DEFECTS,
    cut_paste,
    perlin_noise,
    scar,
    with_defects,
)

X = torch.rand(40, 2, 32, 48, generator=torch.Generator().manual_seed(0))
KINDS = pytest.mark.parametrize("kind", DEFECTS)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def ramp(n: int, height: int, width: int) -> torch.Tensor:
    """Give images whose pixels rise by a constant along rows and columns."""
    values = torch.arange(height * width, dtype=torch.float64) / (height * width)
    return (0.1 + 0.5 * values).view(1, 1, height, width).repeat(n, 1, 1, 1)


@KINDS
def test_images_change_exactly_where_the_mask_says(kind):
    before = X.clone()
    images, masks = with_defects(X, seeded(), [kind])
    assert (masks.shape, masks.dtype) == ((40, 1, 32, 48), torch.bool)
    assert torch.equal(images, torch.where(masks, images, X))
    assert (images != X).any(1, keepdim=True)[masks].all()
    assert masks.flatten(1).any(1).all()
    assert (masks.flatten(1).float().mean(1) < 0.6).all()
    assert 0 <= images.min() <= images.max() <= 1
    assert torch.equal(X, before)


@KINDS
def test_the_generator_alone_decides_the_defects(kind):
    images, masks = with_defects(X, seeded(3), [kind])
    torch.manual_seed(5)
    again = with_defects(X, seeded(3), [kind])
    assert torch.equal(images, again[0])
    assert torch.equal(masks, again[1])
    assert not torch.equal(images, with_defects(X, seeded(4), [kind])[0])


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 70), (63, 127), (3, 3)], ids=str)
@pytest.mark.parametrize("count", [1, 3])
def test_every_size_and_every_batch_has_defects(size, count):
    images, masks = with_defects(torch.rand(count, 3, *size), seeded())
    assert images.shape == (count, 3, *size)
    assert masks.shape == (count, 1, *size)


def test_the_kinds_are_equally_frequent(monkeypatch):
    for value, kind in enumerate(DEFECTS):
        monkeypatch.setitem(DEFECTS, kind, lambda x, _, value=value: torch.full_like(x, value))
    images, _ = with_defects(torch.zeros(3000, 1, 2, 2), seeded())
    counts = torch.bincount(images[:, 0, 0, 0].long(), minlength=3)
    assert stats.chisquare(counts.numpy()).pvalue > 0.01


def test_perlin_noise_is_that_of_a_naive_loop():
    x = torch.zeros(3, 1, 12, 20, dtype=torch.float64)
    noise = perlin_noise(x, seeded())
    generator = seeded()
    rows = 2 ** torch.randint(0, 2, (3,), generator=generator)  # 12 // 4 = 3 cells at most
    columns = 2 ** torch.randint(0, 3, (3,), generator=generator)  # 20 // 4 = 5
    angles = torch.empty(3, 3, 5, dtype=torch.float64).uniform_(0, 2 * math.pi, generator=generator)
    for n in range(3):
        for i in range(12):
            for j in range(20):
                v, u = (i + 0.5) * rows[n].item() / 12, (j + 0.5) * columns[n].item() / 20
                value = 0.0
                for p in (int(v), int(v) + 1):
                    for q in (int(u), int(u) + 1):
                        weight = 1.0
                        for t in (abs(v - p), abs(u - q)):
                            weight *= 1 - (6 * t**5 - 15 * t**4 + 10 * t**3)
                        angle = angles[n, p, q].item()
                        slope = math.sin(angle) * (v - p) + math.cos(angle) * (u - q)
                        value += weight * slope
                assert noise[n, 0, i, j].item() == pytest.approx(math.sqrt(2) * value, abs=1e-12)


def test_perlin_noise_lies_within_minus_1_and_1():
    noise = perlin_noise(torch.zeros(200, 1, 64, 64), seeded())
    assert noise.abs().max() <= 1
    assert noise.mean().abs() < 0.05


def test_a_pasted_patch_is_a_rectangle_of_the_same_image_of_another_brightness():
    height, width = 40, 60
    images, masks = with_defects(ramp(100, height, width), seeded(), ["cut_paste"])
    for image, mask in zip(images[:, 0], masks[:, 0], strict=True):
        rows, columns = mask.nonzero().T
        box = mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert box.all()
        assert 0.01 < box.numel() / mask.numel() < 0.2
        design = np.stack([np.ones(len(rows)), rows, columns], 1)
        (_, down, right), residual, *_ = np.linalg.lstsq(design, image[mask].numpy(), rcond=None)
        assert residual.sum() < 1e-20
        brightness = right * height * width / 0.5
        assert 0.9 <= brightness <= 1.1
        assert down == pytest.approx(right * width)


def test_a_scar_is_thin_and_turned_by_at_most_45_degrees():
    changed = scar(ramp(200, 256, 256), seeded()) != ramp(1, 256, 256)
    angles = []
    for mask in changed[:, 0]:
        rows, columns = (places.double() for places in mask.nonzero().T)
        assert len(rows) <= 25 * 16 + 40
        spread = np.cov(np.stack([rows, columns]))
        lengths = np.sqrt(12 * np.linalg.eigvalsh(spread))
        assert lengths[1] <= 26.5
        if lengths[1] > 2 * lengths[0]:
            axis = np.linalg.eigh(spread)[1][:, 1]
            angles.append(math.degrees(math.atan(axis[1] / axis[0])))
    assert -50 <= min(angles) < -20 < 20 < max(angles) <= 50


def test_a_patch_of_an_even_image_is_only_visible_by_its_brightness():
    images = cut_paste(torch.full((20, 1, 16, 16), 0.5), seeded())
    assert all(len(image.unique()) <= 2 for image in images)
    assert ((images >= 0.45) & (images <= 0.55)).all()


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_a_share_of_training_images_has_a_defect_before_other_corruptions(share):
    x = X[:1].repeat(400, 1, 1, 1)
    corrupted = Corruption(defects=share)(x, seeded())
    count = int((corrupted != x).flatten(1).any(1).sum())
    assert stats.binomtest(count, 400, share).pvalue > 0.01
    block = Corruption(defects=share, block=0.5)(x, seeded())
    assert torch.equal(block, torch.where(block == 0, 0, corrupted))


def test_a_variant_reconstructs_clean_images_from_defective_ones():
    module = Convolutional((2, 32, 48), 4, (4,), defects=1.0).eval()
    assert module.corruption.of_images == Corruption(defects=1.0)
    x = X[:4]
    defective = Corruption(defects=1.0)(x, seeded())
    expected = (module(defective) - x).square().flatten(1).mean(1)
    torch.testing.assert_close(module.validation_step(x), expected)


@pytest.mark.parametrize(
    ("shape", "share", "part"),
    [((30,), 0.5, "not images"), ((3, 20), 0.5, "not images"), ((1, 8, 8), 1.1, "at most 1")],
)
def test_defects_of_other_samples_and_shares_above_1_are_refused(refusal, shape, share, part):
    sentence = refusal(Convolutional, shape, 2, defects=share)
    assert f"defects is {share}" in sentence
    assert part in sentence
