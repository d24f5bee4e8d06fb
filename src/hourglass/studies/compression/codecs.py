"""Codecs: quantisation, principal components in 8 bits, JPEG and PNG files."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image
from sklearn.decomposition import PCA

CLIPPED_SHARES = np.array([0, 1e-4, 1e-3, 5e-3, 0.02])  # candidates, at either end of the range
COMPONENT_BITS = 8
JPEG_QUALITIES = (5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95)  # in Pillow's scale


@dataclass(frozen=True)
class Quantiser:
    """A uniform quantiser: 2^bits cells of equal width per unit; a value becomes its cell's middle.

    Values outside the range of a unit are clipped.
    """

    low: np.ndarray  # (F,)
    high: np.ndarray  # (F,)
    bits: int

    @classmethod
    def fit(cls, reference: np.ndarray, bits: int) -> "Quantiser":
        """Fit the ranges to reference codes, (n, F).

        For each unit, select the quantiles of CLIPPED_SHARES with the lowest squared error: a wider
        range clips less, but has wider cells.
        """
        shares = CLIPPED_SHARES
        lows, highs = (np.quantile(reference, tails, axis=0) for tails in (shares, 1 - shares))
        errors = [
            np.square(cls(low, high, bits)(reference) - reference).mean(0)
            for low, high in zip(lows, highs, strict=True)
        ]
        best, units = np.argmin(errors, axis=0), np.arange(reference.shape[1])
        return cls(lows[best, units], highs[best, units], bits)

    def __call__(self, z: np.ndarray) -> np.ndarray:
        """Return dequantised codes: (N, F) -> (N, F) float32.

        A unit that is constant in the reference keeps that value.
        """
        cells = 2**self.bits
        width = (self.high - self.low) / cells
        cell = np.floor((z - self.low) / np.where(width > 0, width, 1)).clip(0, cells - 1)
        return (self.low + (cell + 0.5) * width).astype(np.float32)


def powers_of_two(largest: int) -> list[int]:
    """Return the powers of two below `largest`, and `largest` itself."""
    return [*(2**i for i in range((largest - 1).bit_length())), largest]


def quantised_components(
    reference: np.ndarray, z: np.ndarray, limit: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield k and the vectors, (N, F), restored from k principal components in 8 bits each.

    The mean, the directions and the ranges are fitted to `reference`, (n, F). k grows to `limit` or
    to the number of components.
    """
    # The exact solvers; the randomised one would need a seed.
    solver = "covariance_eigh" if reference.shape[0] >= reference.shape[1] else "full"
    pca = PCA(min(limit, *reference.shape), svd_solver=solver).fit(reference)
    stored = Quantiser.fit(pca.transform(reference), COMPONENT_BITS)(pca.transform(z))
    for k in powers_of_two(pca.n_components_):
        restored = stored[:, :k] @ pca.components_[:k] + pca.mean_
        yield k, restored.astype(np.float32)


def jpeg(pictures: np.ndarray) -> Iterator[tuple[int, float, float, np.ndarray]]:
    """Yield quality, mean bytes per file, mean bytes per scan, and the decoded pictures.

    Pictures are (N, H, W) or (N, H, W, 3) uint8. File sizes are with optimised Huffman tables, scan
    sizes with the standard tables: everything but the scan is then the same in all files of one
    quality and size, so a collection could store it once. Chroma is subsampled by 2, Pillow's
    default.
    """
    for quality in JPEG_QUALITIES:
        file_bytes, scan_bytes, decoded = 0, 0, np.empty_like(pictures)
        for i, picture in enumerate(pictures):
            image = Image.fromarray(picture)
            file_bytes += len(encode_image(image, "JPEG", quality=quality, optimize=True))
            content = encode_image(image, "JPEG", quality=quality)
            scan_bytes += jpeg_scan_bytes(content)
            with Image.open(BytesIO(content)) as opened:
                decoded[i] = np.asarray(opened)
        yield quality, file_bytes / len(pictures), scan_bytes / len(pictures), decoded


def png_bytes(pictures: np.ndarray) -> float:
    """Return the mean bytes of an optimised, lossless PNG file."""
    lengths = [len(encode_image(Image.fromarray(each), "PNG", optimize=True)) for each in pictures]
    return float(np.mean(lengths))


def encode_image(image: Image.Image, kind: str, **options: int) -> bytes:
    """Return the content of an image file."""
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def jpeg_scan_bytes(content: bytes) -> int:
    """Return the number of bytes of a JPEG file's entropy-coded scan (ITU T.81, annex B).

    A file starts with a marker of 2 bytes. Segments follow, each a marker of 2 bytes and a length
    that counts itself. The scan lies between the segment FFDA and the end marker of 2 bytes.
    """
    position, marker = 2, b""
    while marker != b"\xff\xda":
        marker = content[position : position + 2]
        position += 2 + int.from_bytes(content[position + 2 : position + 4])
    return len(content) - 2 - position
