"""Image files: the layout of one without decoding it, and its pixels as they are stored."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor

from hourglass.core.errors import UserError, one_line
from hourglass.data.geometry import MAX_PIXELS
from hourglass.data.readers.deep_images import (
    ORIENTATION,
    TIFF_SUFFIXES,
    Layout,
    Source,
    Stored,
    is_deep,
    read_deep_png,
    read_tiff,
    stored_mode,
    tiff_layout,
)
from hourglass.data.readers.pixels import LUMA
from hourglass.data.readers.user_files import check_file_type

GREY_MODES = ("1", "L", "LA", "La", "I", "F")  # Pillow's modes of one channel, beside I;16
SUBFILE_TYPE, PREVIEW = 254, 1  # a tag of TIFF, and its bit for a page that repeats another one
TIFF_MARKS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the first bytes of TIFF and BigTIFF
# Formats of images that come without a file; Pillow would run other programs for some more.
FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
ROWS_AT_ONCE = 64  # that are composited
QUARTER_TURNS = (5, 6, 7, 8)  # EXIF orientations that exchange height and width


class UnreadableImageError(UserError):
    """An image file that is damaged, or of an unknown format."""


class ImageTooLargeError(UserError):
    """An image of more than MAX_PIXELS."""


@dataclass(frozen=True)
class Picture:
    """An image file, or a page of a TIFF of several pages.

    `content` are the bytes of an image without a file; `file` is then its name in messages.
    """

    file: Path
    page: int | None = None
    content: bytes | None = field(default=None, repr=False)

    def name(self, root: Path) -> str:
        """Return the id, relative to a folder: "good/7.png", or "good/scan.tif#2" for a page."""
        name = self.file.relative_to(root).as_posix()
        return name if self.page is None else f"{name}#{self.page}"

    @property
    def source(self) -> Source:
        """Return the file, or the content as an open one."""
        return self.file if self.content is None else io.BytesIO(self.content)

    @property
    def is_tiff(self) -> bool:
        """Return whether it claims to be a TIFF."""
        if self.content is not None:
            return self.content.startswith(TIFF_MARKS)
        return self.file.suffix.lower() in TIFF_SUFFIXES

    def __str__(self) -> str:
        return str(self.file) if self.page is None else f"{self.file}#{self.page}"


def pictures_in(file: Path) -> list[Picture]:
    """Return the pages of a TIFF of several pages, numbered from 0, else the file itself.

    A file that cannot be opened is one picture, whose decoding raises the error.
    """
    check_file_type(file)
    pages = list_pages(Picture(file))
    return [Picture(file, page) for page in pages] if len(pages) > 1 else [Picture(file)]


def list_pages(picture: Picture) -> list[int]:
    """Return the numbers of the pages of a TIFF, previews left out; [0] for another file."""
    if not picture.is_tiff:
        return [0]
    try:
        with _open(picture.source, picture) as image:
            pages = []
            for page in range(getattr(image, "n_frames", 1)):
                image.seek(page)
                tags = image.tag_v2  # type: ignore[attr-defined]
                if not tags.get(SUBFILE_TYPE, 0) & PREVIEW:
                    pages.append(page)
    except Exception:  # Pillow's plug-ins raise many types of errors
        return [0]
    return pages


def _open(source: Source, picture: Picture) -> Image.Image:
    return Image.open(source, formats=FORMATS)


def read_layout(picture: Picture) -> Layout:
    """Return height, width, channels and type of an image as `decode` returns it.

    Raises a UserError for a damaged file, or more than MAX_PIXELS.
    """
    check_file_type(picture.file)
    with named_errors(picture):
        found = _read_layout(picture)
    _check_pixels(picture, found.height, found.width)
    return found


def _read_layout(picture: Picture) -> Layout:
    page = picture.page or 0
    try:
        with _open(picture.source, picture) as image:
            image.seek(page)
            if image.format != "TIFF" or not is_deep(image):
                return _layout(image)
    except Image.UnidentifiedImageError:
        if not picture.is_tiff:
            raise
    return tiff_layout(picture.source, page)


def _layout(image: Image.Image) -> Layout:
    """Return the layout of an image that Pillow opened."""
    height, width = image.height, image.width
    if _orientation(image) in QUARTER_TURNS:
        height, width = width, height
    if image.mode.startswith("I;16") or is_deep(image) or _is_deep_netpbm(image):
        number: type = np.uint16
    else:
        number = np.float32 if image.mode in ("I", "F") else np.uint8
    is_grey = image.mode in GREY_MODES or image.mode.startswith("I;16")
    is_grey = is_grey or (is_deep(image) and stored_mode(image).startswith("LA"))
    return Layout(height, width, 1 if is_grey else 3, np.dtype(number))


def decode(picture: Picture, background: str, content: bytes | None = None) -> np.ndarray:
    """Return the upright pixels of an image, (H, W, C) uint8, uint16 or float32.

    C is 1 for grey, 3 for colours, or the number of channels of a TIFF. Transparent pixels are
    composited on the colour `background`. `content` is that of the file, if it is known. Raises a
    UserError for a damaged file, or more than MAX_PIXELS.
    """
    if content is None:
        check_file_type(picture.file)
    with named_errors(picture):
        pixels, has_alpha, orientation = _stored_pixels(picture, content)
        pixels = composite(pixels, background) if has_alpha else pixels
    return np.ascontiguousarray(_upright(pixels, orientation))


def _stored_pixels(picture: Picture, content: bytes | None) -> Stored:
    page = picture.page or 0
    content = picture.content if content is None else content
    source = picture.file if content is None else io.BytesIO(content)
    try:
        with _open(source, picture) as image:
            image.seek(page)
            _check_pixels(picture, image.height, image.width)
            orientation = _orientation(image)
            if not is_deep(image):
                return _shallow_pixels(image, orientation)
            if image.format == "PNG":
                return read_deep_png(content or picture.file.read_bytes(), orientation)
    except Image.UnidentifiedImageError:
        if not picture.is_tiff:
            raise
        layout = tiff_layout(picture.source, page)
        _check_pixels(picture, layout.height, layout.width)
    return read_tiff(picture.source, page)


def _shallow_pixels(image: Image.Image, orientation: int) -> Stored:
    """Decode an image that Pillow reads without loss."""
    if image.mode.startswith("I;16") or _is_deep_netpbm(image):
        return Stored(np.asarray(image).astype(np.uint16)[..., None], False, orientation)
    if image.mode in ("I", "F"):
        return Stored(np.asarray(image, np.float32)[..., None], False, orientation)
    is_grey, has_alpha = image.mode in GREY_MODES, image.has_transparency_data
    mode = ("LA" if is_grey else "RGBA") if has_alpha else ("L" if is_grey else "RGB")
    pixels = np.asarray(image if image.mode == mode else image.convert(mode))
    return Stored(pixels if pixels.ndim == 3 else pixels[..., None], has_alpha, orientation)


def composite(pixels: np.ndarray, background: str) -> np.ndarray:
    """Return pixels whose last channel is alpha, (H, W, C + 1), over a colour, as (H, W, C)."""
    white = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1.0
    colour = np.array(ImageColor.getrgb(background)[:3]) / 255
    if pixels.shape[2] == 2:
        colour = colour @ LUMA[:, None]
    elif pixels.shape[2] != 4:
        raise ValueError(f"alpha beside {pixels.shape[2] - 1} channels")
    result = np.empty((*pixels.shape[:2], pixels.shape[2] - 1), pixels.dtype)
    for start in range(0, len(pixels), ROWS_AT_ONCE):  # as numbers of double precision
        rows = pixels[start : start + ROWS_AT_ONCE]
        alpha = rows[..., -1:] / white
        mixed = alpha * rows[..., :-1] + (1 - alpha) * colour * white
        result[start : start + len(rows)] = np.rint(mixed) if pixels.dtype.kind == "u" else mixed
    return result


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Return pixels, (H, W, C), of an EXIF orientation from 1 to 8 as they are to be seen."""
    if orientation in QUARTER_TURNS:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels[:, ::-1] if orientation in (2, 3, 6, 7) else pixels


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation; 1, upright, of a TIFF, which Pillow turns by itself."""
    if image.format == "TIFF" and not is_deep(image):
        return 1
    if image.format == "PNG" and "exif" not in image.info:  # Pillow would decode the image
        return 1
    return int(image.getexif().get(ORIENTATION, 1))


def _is_deep_netpbm(image: Image.Image) -> bool:
    """Return whether it is a grey .pgm of 16 bits, which Pillow scales to 0 to 65535."""
    return image.mode == "I" and image.format == "PPM"


def _check_pixels(picture: Picture, height: int, width: int) -> None:
    if width * height > MAX_PIXELS:
        raise ImageTooLargeError(
            f"{picture} is {width} x {height} pixels, more than {MAX_PIXELS:,}; resize it first."
        )


@contextmanager
def named_errors(picture: Picture) -> Iterator[None]:
    """Raise errors of the readers, of many types, as a UserError that names the file."""
    try:
        yield
    except UserError:
        raise
    except Image.DecompressionBombError:  # Pillow's own limit, which is higher
        raise ImageTooLargeError(
            f"{picture} has more than {MAX_PIXELS:,} pixels; resize it first."
        ) from None
    except Exception as error:
        remedy = "replace or remove it, or skip such files: --skip-damaged, `skip_damaged: true`"
        if picture.content is not None:
            remedy = "send a file of a usual format"
        # An error about content has its address in memory.
        reason = re.sub(r"<_io\.BytesIO[^>]*>", "its content", one_line(error))
        raise UnreadableImageError(
            f"{picture} cannot be read as an image ({reason}); {remedy}."
        ) from error
