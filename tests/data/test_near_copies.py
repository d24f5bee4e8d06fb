"""Near-copies are images whose thumbnails hardly differ, as comparing all pairs finds them."""

import numpy as np
import pytest
from PIL import Image

from hourglass.data.images import Images
from hourglass.data.near_copies import MAX_DIFFERENCE, NearCopies
from hourglass.data.prepare import prepare_data_set, split_samples
from hourglass.data.tiling import Tiling

RNG = np.random.default_rng(0)


def photograph(side: int = 64) -> Image.Image:
    coarse = RNG.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("shape", [(700, 3, 32, 48), (300, 1, 32, 160)])
def test_they_are_those_of_all_pairs(shape):
    groups = RNG.integers(0, 200, (shape[0], 1, 1, 1), dtype=np.uint8)
    x = RNG.integers(0, 8, shape, dtype=np.uint8) + groups
    near = NearCopies(shape, 255.0)
    near.add(0, x[:30])
    near.add(30, x[30:])
    blocks = np.asarray(
        [
            Image.fromarray(image.mean(0).astype(np.float32)).resize((16, 16), Image.Resampling.BOX)
            for image in x
        ]
    ).reshape(len(x), -1)
    np.testing.assert_allclose(near.thumbnails, blocks, atol=1e-3)
    distance = np.sqrt(np.square(blocks[:, None] - blocks).mean(2))
    np.fill_diagonal(distance, np.inf)
    found = near.find(np.arange(len(x)), np.arange(len(x)).astype(str))
    assert found["near_copies"] == (distance.min(1) <= MAX_DIFFERENCE).sum() > 1
    first, second = map(int, found["near_copies_such_as"])
    assert distance[first, second] == pytest.approx(distance.min(), abs=1e-4)


def test_a_compressed_and_a_scaled_copy_are_near_and_other_images_are_not(tmp_path):
    for i in range(30):
        photograph().save(tmp_path / f"{i}.png")
    with Image.open(tmp_path / "3.png") as image:
        image.save(tmp_path / "compressed.jpg", quality=80)
        image.resize((32, 32)).resize((64, 64)).save(tmp_path / "scaled.png")
        image.save(tmp_path / "copy.png")
    _, card = split_samples(Images(str(tmp_path)), tmp_path, 0)
    assert card["copies"]["copies"] == 1
    assert card["copies"]["near_copies"] == 4
    assert {*card["copies"]["near_copies_such_as"]} <= {
        "3.png", "copy.png", "compressed.jpg", "scaled.png",
    }  # fmt: skip


def test_prepare_names_two(workspace, set_yaml, capsys):
    folder = workspace / "data/own/tiles"
    folder.mkdir(parents=True)
    for i in range(20):
        photograph().save(folder / f"{i}.png")
    Image.open(folder / "7.png").save(folder / "again.jpg", quality=90)
    set_yaml("configs/data/tiles.yaml", "class_path", value="hourglass.data.images.Images")
    set_yaml("configs/data/tiles.yaml", "init_args", value={"path": "data/own/tiles"})
    prepare_data_set("tiles")
    assert (
        "2 images nearly equal another one, such as 7.png and again.jpg" in capsys.readouterr().err
    )


def test_the_channel_that_marks_padding_does_not_count():
    x = RNG.integers(0, 256, (30, 1, 32, 32), dtype=np.uint8)
    marked = np.concatenate([x, np.full_like(x, 255)], 1)
    near, expected = NearCopies(marked.shape, 255.0, Tiling(1, 16, 16)), NearCopies(x.shape, 255.0)
    near.add(0, marked)
    expected.add(0, x)
    np.testing.assert_array_equal(near.thumbnails, expected.thumbnails)
