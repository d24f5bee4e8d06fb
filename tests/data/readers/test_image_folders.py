"""Layouts of folders and tables of images: classes, official test part, masks."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from hourglass.data.images import Images
from hourglass.data.readers.image_folders import images_below

RNG = np.random.default_rng(0)


def write(root: Path, *names: str, mask: tuple[str, ...] = ()) -> Path:
    """Write images of 6 x 5 pixels, and masks with one defective pixel."""
    for name in (*names, *mask):
        pixels = RNG.integers(1, 256, (6, 5), dtype=np.uint8)
        if name in mask:
            pixels = np.zeros((6, 5), np.uint8)
            pixels[2, 3] = 1
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / name)
    return root


def load(path: Path, **settings):
    return Images(str(path), **settings).load(path)


def test_the_layout_of_mvtec_gives_classes_the_test_part_and_masks(tmp_path):
    images = ["test/good/0.png", "test/hole/0.png", "test/hole/1.png", "train/good/0.png"]
    raw = load(write(tmp_path, *images, mask=("ground_truth/hole/1_mask.png",)))
    assert raw.id.tolist() == images
    assert raw.label.tolist() == ["good", "hole", "hole", "good"]
    assert raw.anomaly.tolist() == [False, True, True, False]  # without `normal`
    assert raw.official_test.tolist() == [True, True, True, False]
    assert raw.mask.any(axis=(1, 2)).tolist() == [False, False, True, False]
    assert raw.mask[2].nonzero() == ([2], [3])
    assert raw.source["notes"] == [
        "1 of 2 anomalous images have no mask or an empty one; metrics of pixels leave them out"
    ]
    assert "ground_truth/hole/1_mask.png" in raw.source["files"]
    names = [picture.name(tmp_path) for picture in images_below(tmp_path)]
    assert names == images  # of `score`, which does not score masks


@pytest.mark.parametrize(
    ("train", "normal"), [(["a"], "a"), (["OK", "scrap"], "OK"), (["a", "b"], None)]
)
def test_the_normal_class_is_the_only_one_of_train_or_has_a_usual_name(tmp_path, train, normal):
    write(tmp_path, "test/hole/0.png", *(f"train/{name}/0.png" for name in train))
    raw = load(tmp_path)
    expected = [normal is not None and label != normal for label in raw.label]
    assert raw.anomaly.tolist() == expected


@pytest.mark.parametrize(
    "mask",
    [
        "ground_truth/bad/0.png",
        "ground_truth/bad/0_mask.png",
        "masks/bad/0.PNG",
        "masks/0.png",
        "bad/masks/0.png",
        "bad/0_mask.png",
        "bad/0_GT.png",
        "label/bad/0_label.bmp",
    ],
)
def test_a_mask_is_found_by_its_place_and_name(tmp_path, mask):
    raw = load(write(tmp_path, "bad/0.jpg", "good/1.png", mask=(mask,)), normal="good")
    assert raw.id.tolist() == ["bad/0.jpg", "good/1.png"]
    assert raw.mask.any(axis=(1, 2)).tolist() == [True, False]


def test_masks_decide_where_there_are_no_classes(tmp_path):
    write(tmp_path, "images/0.jpg", "images/1.jpg", mask=("masks/0.png",))
    raw = load(tmp_path)
    assert raw.label.tolist() == ["defect", "good"]
    assert raw.anomaly.tolist() == [True, False]


def test_a_defect_that_is_cut_off_makes_its_image_defective(tmp_path):
    write(tmp_path, "images/0.jpg", "images/1.jpg", mask=("masks/0.png",))
    pixels = np.zeros((6, 5), np.uint8)
    pixels[0, 0] = 1
    Image.fromarray(pixels).save(tmp_path / "masks/0.png")
    raw = load(tmp_path, size=[2, 5], fit="crop")
    assert raw.anomaly.tolist() == [True, False]
    assert not raw.mask.any()


def test_a_mask_that_decides_must_have_the_size_of_its_image(tmp_path, refusal):
    write(tmp_path, "images/0.jpg", "images/1.jpg", mask=("masks/0.png",))
    Image.fromarray(np.zeros((3, 4), np.uint8)).save(tmp_path / "masks/0.png")
    assert "masks/0.png is 4 x 3 pixels, but its image is 5 x 6" in refusal(load, tmp_path)


def test_a_damaged_mask_is_refused_with_its_own_remedy(tmp_path, refusal):
    write(tmp_path, "bad/0.png", "good/0.png", mask=("masks/bad/0.png",))
    (tmp_path / "masks/bad/0.png").write_bytes(b"no mask")
    sentence = refusal(load, tmp_path, normal="good", skip_damaged=True)
    assert f"the mask {tmp_path / 'masks/bad/0.png'} cannot be read" in sentence
    assert "skip_damaged" not in sentence


def test_a_class_may_be_called_label(tmp_path):
    raw = load(write(tmp_path, "good/0.png", "label/0.png"), normal="good")
    assert raw.label.tolist() == ["good", "label"]
    assert raw.mask is None


def test_a_mask_of_another_size_is_not_used(tmp_path):
    write(tmp_path, "bad/0.png", "good/0.png")
    (tmp_path / "masks/bad").mkdir(parents=True)
    Image.fromarray(np.full((3, 3), 255, np.uint8)).save(tmp_path / "masks/bad/0.png")
    raw = load(tmp_path, normal="good")
    assert not raw.mask.any()
    assert "1 mask" in raw.source["notes"][0]
    assert "another size" in raw.source["notes"][0]


def test_masks_get_the_geometry_of_their_images(tmp_path):
    write(tmp_path, "bad/0.png", "good/0.png", mask=("masks/bad/0.png",))
    raw = load(tmp_path, normal="good", size=[12, 10])
    assert np.argwhere(raw.mask[0]).tolist() == [[4, 6], [4, 7], [5, 6], [5, 7]]


def test_a_folder_without_images_is_refused_by_its_name(tmp_path, refusal):
    (tmp_path / "a/b").mkdir(parents=True)
    assert f"{tmp_path} holds no image" in refusal(load, tmp_path)


def test_system_files_are_skipped_and_suffixes_have_any_case(tmp_path):
    write(tmp_path, "good/a.PNG", "good/b.JPeG", "__MACOSX/good/c.png", "good/.d.png", ".e/f.png")
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "readme.txt"):
        (tmp_path / "good" / name).write_bytes(b"")
    assert load(tmp_path).id.tolist() == ["good/a.PNG", "good/b.JPeG"]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("named", [False, True])
def test_a_table_names_images_labels_masks_and_splits(tmp_path, suffix, named):
    write(tmp_path, "x/0.png", "x/1.png", "2.png", mask=("m/1.png",))
    table = pd.DataFrame(
        {
            "where" if named else "File": ["x/0.png", "x/1.png", "2.png"],
            "what" if named else "label": [0, 1, 0],
            "mask": ["", "m/1.png", None],
            "split": ["train", "test", "test"],
        }
    )
    path = tmp_path / f"index{suffix}"
    table.to_csv(path, index=False) if suffix == ".csv" else table.to_parquet(path)
    columns = {"path": "where", "label": "what"} if named else None
    raw = load(path, normal=0, columns=columns)
    assert raw.id.tolist() == ["x/0.png", "x/1.png", "2.png"]
    assert raw.anomaly.tolist() == [False, True, False]
    assert raw.official_test.tolist() == [False, True, True]
    assert raw.mask.any(axis=(1, 2)).tolist() == [False, True, False]


def test_a_table_lists_every_page_of_a_tiff(tmp_path):
    write(tmp_path, "0.png", "1.png", mask=("m.png",))
    pages = [Image.fromarray(RNG.integers(0, 256, (6, 5), dtype=np.uint8)) for _ in range(2)]
    pages[0].save(tmp_path / "scan.tif", save_all=True, append_images=pages[1:])
    table = "path,label,mask,split\nscan.tif,bad,m.png,test\n0.png,good,,train\n"
    (tmp_path / "index.csv").write_text(table)
    raw = load(tmp_path / "index.csv", normal="good")
    assert raw.id.tolist() == ["scan.tif#0", "scan.tif#1", "0.png"]
    np.testing.assert_array_equal(raw.x[:2, 0], np.stack([np.asarray(page) for page in pages]))
    assert raw.anomaly.tolist() == raw.official_test.tolist() == [True, True, False]
    assert raw.mask.any(axis=(1, 2)).tolist() == [True, True, False]


@pytest.mark.parametrize("is_relative", [True, False], ids=["relative table", "absolute table"])
@pytest.mark.parametrize("storage", ["packed", "files"])
@pytest.mark.parametrize(
    ("image", "mask", "root"),
    [
        ("{root}/set/0.png", "{root}/set/m.png", "set"),
        ("0.png", "../masks/0.png", ""),
        ("../0.png", "{root}/set/m.png", ""),
        ("{root}/0.png", "", ""),
    ],
)
def test_a_table_may_name_files_anywhere(
    tmp_path, monkeypatch, image, mask, root, storage, is_relative
):
    write(tmp_path, "0.png", "set/0.png", "set/1.png", mask=("masks/0.png", "set/m.png"))
    row = f"{image},{mask},bad\n".format(root=tmp_path)
    (tmp_path / "set/index.csv").write_text(f"path,mask,label\n{row}1.png,,good\n")
    monkeypatch.chdir(tmp_path)
    folder = Path() if is_relative else tmp_path
    raw = load(folder / "set/index.csv", normal="good", storage=storage)
    assert raw.anomaly.tolist() == [True, False]
    for name, digest in raw.source["files"].items():
        assert hashlib.sha256((tmp_path / root / name).read_bytes()).hexdigest() == digest
    assert len(raw.source["files"]) == 3 + bool(mask)
    if storage == "files":
        assert raw.x.storage()["root"] == (folder / root).as_posix()


@pytest.mark.parametrize(
    ("content", "columns", "message"),
    [
        ("path\n1.png\n", {}, "1.png, which does not exist"),
        ("a,b\n1,2\n", {}, "no column of paths"),
        ("a,b\n1,2\n", {"path": "A"}, "no column 'A'"),
        ("path\n1.png\n", {"file": "path"}, "`columns` sets ['file']"),
        ("path\n", {}, "is empty"),
    ],
)
def test_a_table_without_usable_columns_is_rejected(tmp_path, refusal, content, columns, message):
    (tmp_path / "index.csv").write_text(content)
    assert message in refusal(load, tmp_path / "index.csv", columns=columns)


def test_linked_folders_are_followed_but_no_circle(tmp_path):
    write(tmp_path / "elsewhere", "0.png")
    root = write(tmp_path / "root", "good/0.png")
    (root / "scratch").symlink_to(tmp_path / "elsewhere")
    (root / "good/loop").symlink_to(root)
    assert load(root).id.tolist() == ["good/0.png", "scratch/0.png"]


def test_a_class_called_mask_beside_no_mask_holds_images(tmp_path):
    raw = load(write(tmp_path, "mask/0.png", "no_mask/0.png"))
    assert raw.label.tolist() == ["mask", "no_mask"]
    assert raw.mask is None


def test_a_folder_around_the_layout_of_mvtec_is_unwrapped_unless_there_are_several(
    tmp_path, refusal
):
    names = ("train/good/0.png", "test/good/0.png", "test/hole/0.png")
    write(tmp_path, *(f"bottle/{name}" for name in names))
    raw = load(tmp_path)
    assert raw.id.tolist() == sorted(names)
    assert raw.anomaly.sum() == 1
    write(tmp_path, *(f"cable/{name}" for name in names))
    assert "several data sets, bottle and cable" in refusal(load, tmp_path)


def test_the_usual_class_is_normal_in_a_test_part_alone(tmp_path):
    raw = load(write(tmp_path, "test/good/0.png", "test/hole/0.png"))
    assert raw.anomaly.tolist() == [False, True]


def test_files_of_other_image_formats_are_counted(tmp_path):
    write(tmp_path, "0.png")
    (tmp_path / "1.HEIC").touch()
    assert load(tmp_path).source["notes"][0].startswith("files that are not read: 1 .heic;")


def test_noise_of_compression_is_no_defect(tmp_path):
    write(tmp_path, "test/hole/0.png", "train/good/0.png")
    mask = np.zeros((6, 5), np.uint8)
    mask[:3, :2] = 255
    (tmp_path / "ground_truth/hole").mkdir(parents=True)
    Image.fromarray(mask).save(tmp_path / "ground_truth/hole/0_mask.jpg", quality=30)
    np.testing.assert_array_equal(load(tmp_path).mask[0], mask > 0)


def test_a_file_that_is_gone_is_named(tmp_path, refusal):
    write(tmp_path, "0.png")
    (tmp_path / "1.png").symlink_to(tmp_path / "missing.png")
    assert "1.png cannot be read" in refusal(load, tmp_path)
    assert load(tmp_path, skip_damaged=True).id.tolist() == ["0.png"]


def test_floats_decide_white_beside_bytes(tmp_path):
    write(tmp_path, "0.png")
    tifffile.imwrite(tmp_path / "1.tif", np.full((6, 5), 0.5, np.float32))
    raw = load(tmp_path)
    assert raw.full_scale == 1
    bright = np.asarray(Image.open(tmp_path / "0.png")) / np.float32(255)
    np.testing.assert_allclose(raw.x[0, 0], bright, rtol=1e-6)


def test_a_size_without_end_is_refused(tmp_path, refusal):
    assert "more than 67,108,864 pixels" in refusal(load, write(tmp_path, "0.png"), size=200_000)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": np.zeros((64, 64, 3), np.uint8)}, "one colour image or of 64 narrow grey ones"),
        ({"x": np.zeros((2, 4, 4), np.uint8), "masks": np.full((2, 4, 4), "0")}, "are <U1"),
    ],
)
def test_arrays_that_are_read_in_two_ways_are_refused(tmp_path, refusal, arrays, words):
    np.savez(tmp_path / "a.npz", **arrays)
    assert words in refusal(load, tmp_path / "a.npz")


def test_labels_may_be_bytes(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 4, 4), np.uint8), y=np.array([b"a", b"\xf6"]))
    assert load(tmp_path / "a.npz").label.tolist() == ["a", "ö"]
