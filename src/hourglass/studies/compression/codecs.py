"""Image files as they are: JPEG and PNG, byte by byte."""

from collections.abc import Iterator
from io import BytesIO

import numpy as np
from PIL import Image

QUALITIES = (5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95)  # Pillow's


def jpeg(pictures: np.ndarray) -> Iterator[tuple[int, float, float, np.ndarray]]:
    """Yield for each quality the mean bytes of a file, those of its scan alone, and the pictures.

    Pictures are (N, H, W) or (N, H, W, 3) uint8, before and after. The file has the Huffman tables
    that make it smallest. The scan is that of a file with the standard's tables: all else in it is
    the same in every file of a quality and a size, so a collection need keep it only once. Colours
    have half the resolution, as Pillow's default has it.
    """
    for quality in QUALITIES:
        files, scans, decoded = 0, 0, np.empty_like(pictures)
        for i, picture in enumerate(pictures):
            image = Image.fromarray(picture)
            files += len(encoded(image, "JPEG", quality=quality, optimize=True))
            content = encoded(image, "JPEG", quality=quality)
            scans += scan(content)
            with Image.open(BytesIO(content)) as again:
                decoded[i] = np.asarray(again)
        yield quality, files / len(pictures), scans / len(pictures), decoded


def png(pictures: np.ndarray) -> float:
    """Return the mean bytes of a lossless PNG file, as small as Pillow makes it."""
    lengths = [len(encoded(Image.fromarray(each), "PNG", optimize=True)) for each in pictures]
    return float(np.mean(lengths))


def encoded(image: Image.Image, kind: str, **options: int) -> bytes:
    """Return the content of an image file."""
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def scan(content: bytes) -> int:
    """Return how many bytes of a JPEG file are its entropy-coded scan (ITU T.81, annex B).

    Segments follow the 2 bytes of the start, each a marker of 2 bytes and a length that counts
    itself; the scan lies between the segment with the marker FFDA and the 2 bytes of the end.
    """
    place, marker = 2, b""
    while marker != b"\xff\xda":
        marker = content[place : place + 2]
        place += 2 + int.from_bytes(content[place + 2 : place + 4])
    return len(content) - 2 - place
