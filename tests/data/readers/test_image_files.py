"""Pixels of image files, against the arrays that were written."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from hourglass.data.readers.image_files import Picture, decode, pictures_in, read_layout

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 5), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (6, 5, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 4096, (6, 5, 3), dtype=np.uint16)
ALPHA = np.repeat(np.array([[0], [255], [128]], np.uint8), 2, 0).repeat(5, 1)


def read(path, background="white"):
    """Return the pixels, and check that the layout announces them."""
    pixels = decode(Picture(path), background)
    assert read_layout(Picture(path)) == (*pixels.shape, pixels.dtype)
    assert (decode(Picture(path), background, path.read_bytes()) == pixels).all()
    return pixels


def over(pixels, alpha, colour):
    """Composite in exact numbers."""
    share = alpha[..., None] / 255
    return np.rint(pixels * share + np.array(colour) * (1 - share))


@pytest.mark.parametrize("name", ["a.png", "a.BMP", "a.Tif", "a.webp", "a.PPM"])
def test_lossless_files_hold_what_was_written(tmp_path, name):
    options = {"lossless": True} if name == "a.webp" else {}
    Image.fromarray(COLOUR).save(tmp_path / name, **options)
    np.testing.assert_array_equal(read(tmp_path / name), COLOUR)


@pytest.mark.parametrize(("mode", "channels"), [("1", 1), ("L", 1), ("P", 3), ("CMYK", 3)])
def test_modes_of_eight_bits_are_grey_or_colour(tmp_path, mode, channels):
    image = Image.fromarray(COLOUR).convert(mode)
    image.save(tmp_path / "a.tif")
    expected = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    assert (read(tmp_path / "a.tif") == expected.reshape(6, 5, channels)).all()


def test_transparent_pixels_show_the_background(tmp_path):
    Image.fromarray(np.dstack([COLOUR, ALPHA])).save(tmp_path / "rgba.png")
    assert (read(tmp_path / "rgba.png") == over(COLOUR, ALPHA, (255, 255, 255))).all()
    assert (read(tmp_path / "rgba.png", "#ff8000") == over(COLOUR, ALPHA, (255, 128, 0))).all()
    Image.fromarray(np.dstack([GREY, ALPHA]), "LA").save(tmp_path / "la.png")
    assert (read(tmp_path / "la.png", "black") == over(GREY[..., None], ALPHA, (0,))).all()
    palette = Image.fromarray(np.zeros((6, 5), np.uint8)).convert("P")
    palette.save(tmp_path / "p.png", transparency=0)
    assert (read(tmp_path / "p.png", "red") == (255, 0, 0)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
def test_images_are_turned_upright(tmp_path, name, orientation):
    stored = {  # by the definition of the tag: how rows and columns of the scene are stored
        1: COLOUR,
        2: COLOUR[:, ::-1],
        3: COLOUR[::-1, ::-1],
        4: COLOUR[::-1],
        5: COLOUR.transpose(1, 0, 2),
        6: np.rot90(COLOUR, 1),
        7: COLOUR[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(COLOUR, -1),
    }[orientation]
    exif = Image.Exif()
    exif[274] = orientation
    options = {"lossless": True} if name == "a.webp" else {}
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / name, exif=exif, **options)
    np.testing.assert_array_equal(read(tmp_path / name), COLOUR)


def test_sixteen_bits_keep_their_values(tmp_path):
    Image.fromarray(DEEP[..., 0]).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read(tmp_path / "grey.png"), DEEP[..., :1])
    for order in "<>":
        tifffile.imwrite(tmp_path / "grey.tif", DEEP[..., 0], byteorder=order)
        np.testing.assert_array_equal(read(tmp_path / "grey.tif"), DEEP[..., :1])
        tifffile.imwrite(
            tmp_path / "rgb.tif", DEEP, byteorder=order, photometric="rgb", compression="zlib"
        )
        np.testing.assert_array_equal(read(tmp_path / "rgb.tif"), DEEP)
    (tmp_path / "grey.pgm").write_bytes(b"P5 5 6 65535\n" + DEEP[..., 0].astype(">u2").tobytes())
    np.testing.assert_array_equal(read(tmp_path / "grey.pgm"), DEEP[..., :1])


@pytest.mark.parametrize("kind", [2, 4, 6], ids=["RGB", "LA", "RGBA"])
def test_a_deep_png_keeps_sixteen_bits_and_loses_alpha(tmp_path, kind):
    channels = {2: 3, 4: 2, 6: 4}[kind]
    pixels = RNG.integers(0, 65536, (6, 5, channels), dtype=np.uint16)
    (tmp_path / "a.png").write_bytes(png16(pixels, kind))
    expected = pixels
    if kind != 2:
        share = pixels[..., -1:] / 65535
        expected = np.rint(pixels[..., :-1] * share + 65535 * (1 - share))
    np.testing.assert_array_equal(read(tmp_path / "a.png"), expected)


def png16(pixels: np.ndarray, kind: int) -> bytes:
    """Return a PNG by its specification."""
    import struct
    import zlib

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + checksum

    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_tiff_of_any_channels_keeps_them(tmp_path, channels, dtype):
    pixels = RNG.integers(0, 200, (6, 5, channels)).astype(dtype) / dtype(2)
    pixels = pixels.astype(dtype)
    stored = pixels[..., 0] if channels == 1 else pixels
    tifffile.imwrite(
        tmp_path / "a.tif",
        stored,
        photometric="minisblack",
        planarconfig=None if channels == 1 else "contig",
        compression="lzw",
    )
    np.testing.assert_array_equal(read(tmp_path / "a.tif"), pixels)


def test_the_pages_of_a_tiff_are_pictures(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", DEEP.transpose(2, 0, 1), photometric="minisblack")
    pictures = pictures_in(tmp_path / "a.tif")
    assert [picture.name(tmp_path) for picture in pictures] == ["a.tif#0", "a.tif#1", "a.tif#2"]
    for page, picture in enumerate(pictures):
        np.testing.assert_array_equal(decode(picture, "white")[..., 0], DEEP[..., page])


def test_the_error_of_a_damaged_file_names_it(tmp_path, refusal):
    for name in ("a.png", "a.tif", "a.jpg"):
        (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\nII*\0")
        for action in (lambda path: decode(path, "white"), read_layout):
            assert f"{name} cannot be read as an image" in refusal(action, Picture(tmp_path / name))


def test_a_tiff_of_a_volume_is_refused_before_it_is_decoded(tmp_path, refusal):
    path = tmp_path / "volume.tif"
    volume = np.zeros((16, 16, 16, 5), np.uint8)
    tifffile.imwrite(path, volume, volumetric=True, tile=(16, 16, 16), photometric="minisblack")
    for action in (lambda picture: decode(picture, "white"), read_layout):
        assert "axes ZYXS" in refusal(action, Picture(path))


def test_a_file_of_another_format_is_not_opened_by_its_content(tmp_path, refusal):
    path = tmp_path / "a.png"
    path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    assert "cannot be read as an image" in refusal(read_layout, Picture(path))
