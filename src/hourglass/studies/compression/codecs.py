"""Codecs: uniform quantisation, principal components in 8 bits, and JPEG and PNG files."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image
from sklearn.decomposition import PCA

# Candidate fractions of values that are clipped at each end of a unit's range.
CLIPPED_FRACTIONS = np.array([0, 1e-4, 1e-3, 5e-3, 0.02])
COMPONENT_BITS = 8
JPEG_QUALITIES = (5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95)  # on Pillow's scale


@dataclass(frozen=True)
class Quantiser:
    """A uniform quantiser: 2^bits bins of equal width per unit, each decoded to its centre.

    Values outside the range of a unit are clipped.
    """

    low: np.ndarray  # (F,)
    high: np.ndarray  # (F,)
    bits: int

    @classmethod
    def fit(cls, reference: np.ndarray, bits: int) -> "Quantiser":
        """Fit the ranges to reference codes, (n, F).

        For each unit, select the CLIPPED_FRACTIONS entry with the lowest squared error: a wider
        range clips fewer values, but has wider bins.
        """
        tails = (CLIPPED_FRACTIONS, 1 - CLIPPED_FRACTIONS)
        lows, highs = (np.quantile(reference, tail, axis=0) for tail in tails)
        errors = [
            np.square(cls(low, high, bits)(reference) - reference).mean(0)
            for low, high in zip(lows, highs, strict=True)
        ]
        best, units = np.argmin(errors, axis=0), np.arange(reference.shape[1])
        return cls(lows[best, units], highs[best, units], bits)

    def __call__(self, z: np.ndarray) -> np.ndarray:
        """Quantise and dequantise codes: (N, F) -> (N, F) float32.

        A unit that is constant in the reference keeps that value.
        """
        bins = 2**self.bits
        width = (self.high - self.low) / bins
        index = np.floor((z - self.low) / np.where(width > 0, width, 1)).clip(0, bins - 1)
        return (self.low + (index + 0.5) * width).astype(np.float32)


def quantised_components(
    reference: np.ndarray, z: np.ndarray, limit: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield k and the vectors, (N, F), restored from k principal components in 8 bits each.

    Components and ranges are fitted to `reference`, (n, F). k takes the powers of two up to `limit`
    or the number of components, and that maximum itself.
    """
    # Both solvers are exact; the randomised one would depend on a seed.
    solver = "covariance_eigh" if reference.shape[0] >= reference.shape[1] else "full"
    pca = PCA(min(limit, *reference.shape), svd_solver=solver).fit(reference)
    stored = Quantiser.fit(pca.transform(reference), COMPONENT_BITS)(pca.transform(z))
    largest = pca.n_components_
    for k in [*(2**i for i in range((largest - 1).bit_length())), largest]:
        restored = stored[:, :k] @ pca.components_[:k] + pca.mean_
        yield k, restored.astype(np.float32)


def jpeg(images: np.ndarray) -> Iterator[tuple[int, float, float, np.ndarray]]:
    """Yield quality, mean bytes per file, mean bytes per scan, and the decoded images.

    Images are (N, H, W) or (N, H, W, 3) uint8. File sizes are for optimised Huffman tables, scan
    sizes for the standard tables: all files of one quality and size then differ in the scan only,
    so a collection could store the rest once. Chroma is subsampled by 2, Pillow's default.
    """
    for quality in JPEG_QUALITIES:
        file_bytes, scan_bytes, decoded = 0, 0, np.empty_like(images)
        for i, pixels in enumerate(images):
            image = Image.fromarray(pixels)
            file_bytes += len(encode_image(image, "JPEG", quality=quality, optimize=True))
            content = encode_image(image, "JPEG", quality=quality)
            scan_bytes += jpeg_scan_bytes(content)
            with Image.open(BytesIO(content)) as opened:
                decoded[i] = np.asarray(opened)
        yield quality, file_bytes / len(images), scan_bytes / len(images), decoded


def png_bytes(images: np.ndarray) -> float:
    """Return the mean bytes per optimised PNG file."""
    files = (encode_image(Image.fromarray(pixels), "PNG", optimize=True) for pixels in images)
    return float(np.mean([len(file) for file in files]))


def encode_image(image: Image.Image, format_name: str, **options: int) -> bytes:
    """Return the content of an image file of a format such as "JPEG"."""
    file = BytesIO()
    image.save(file, format_name, **options)
    return file.getvalue()


def jpeg_scan_bytes(content: bytes) -> int:
    """Return the number of bytes of a JPEG file's entropy-coded scan (ITU T.81, annex B).

    The scan lies between the segment FFDA, which starts with its length, and the end marker of 2
    bytes. The scan itself never contains FFDA.
    """
    segment = content.rindex(b"\xff\xda") + 2
    start = segment + int.from_bytes(content[segment : segment + 2])
    return len(content) - 2 - start
