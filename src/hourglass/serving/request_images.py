"""Decode the images of a request: bytes of image files, or these in base64.

They are read by the code of `hourglass score`, into the form of the detector's images. Their sizes
are checked first, because a file of kilobytes may declare gigabytes. An image that cannot be scored
raises a UserError with a message of one sentence.
"""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.core.errors import UserError
from hourglass.core.suggestions import quote
from hourglass.data.readers.image_chunks import read_image
from hourglass.data.readers.image_files import Picture, list_pages, read_layout
from hourglass.detection.detector import Detector
from hourglass.serving.request_limits import Limits

MEDIA_TYPES = ("image/png", "image/jpeg", "image/tiff", "image/bmp", "image/webp")


def encoded_images(content: Any) -> Sequence[Any] | None:
    """Return the items of a list, an array or the only column of a table if they encode images.

    None if the first item is neither text nor bytes.
    """
    if hasattr(content, "keys"):
        columns = list(content.keys())
        if len(columns) != 1:
            return None
        content = content[columns[0]]
        content = content.tolist() if hasattr(content, "tolist") else content
    if isinstance(content, np.ndarray):
        if content.ndim != 1 or content.dtype.kind not in "OSU":
            return None
        content = content.tolist()
    if not isinstance(content, list | tuple) or not content:
        return None
    if isinstance(content[0], dict) and len(content[0]) == 1:  # one object per row
        content = [_only_value(row) for row in content]
    return content if isinstance(content[0], str | bytes) else None


def decode_images(items: Sequence[Any], detector: Detector, limits: Limits) -> np.ndarray:
    """Return images, (N, C, H, W), from bytes of files and text in base64.

    Raises a UserError if one is no image of a usual format, does not fit the detector, or if all
    have more pixels than the limit.
    """
    pictures = [_picture(item, number, len(items)) for number, item in enumerate(items, 1)]
    inputs, pixels = detector.image_format.geometry.size or (0, 0), 0
    for picture in pictures:
        layout = read_layout(picture)
        pixels += max(layout.height * layout.width, inputs[0] * inputs[1])
        limits.check_pixels(pixels)
        if len(pages := list_pages(picture)) > 1:
            raise UserError(f"{picture} has {len(pages)} pages; send each as an image.")
    decoded: list[np.ndarray] = []
    for picture in pictures:
        decoded.append(read_image(picture, detector, False, detector.accepts)[0])
        if decoded[-1].shape != decoded[0].shape:
            raise UserError("the images of the request differ in size; send equal ones.")
    return np.stack(decoded)


def _picture(item: Any, number: int, count: int) -> Picture:
    name = "the image of the request" if count == 1 else f"image {number} of the request"
    if isinstance(item, str):
        try:
            item = base64.b64decode(item, validate=True)
        except ValueError:
            raise UserError(
                f"{name} is {quote(item)}, not base64; send the bytes of an image file in base64."
            ) from None
    if not isinstance(item, bytes):
        raise UserError(
            f"{name} is {quote(item)}; send the bytes of an image file, or these in base64."
        )
    return Picture(Path(name), content=item)


def _only_value(row: Any) -> Any:
    """Return the value of an object with one key; anything else as it is."""
    return next(iter(row.values())) if isinstance(row, dict) and len(row) == 1 else row
