"""Scalar quantisation of principal components: fixed lengths, and an ideal entropy coder."""

from heapq import heapify, heappop, heappush

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

COMPONENTS = 150
LLOYD_STEPS = 30
STEPS = np.geomspace(0.2, 6, 60)  # candidate widths of the cells of entropy-coded components


def _projected(reference: np.ndarray, test: np.ndarray) -> tuple[PCA, np.ndarray, np.ndarray]:
    """Return principal components and the codes of training and test images."""
    reference, test = (x.reshape(len(x), -1) for x in (reference, test))
    pca = PCA(COMPONENTS, svd_solver="covariance_eigh").fit(reference)
    return pca, pca.transform(reference), pca.transform(test)


def _error(pca: PCA, codes: np.ndarray, test: np.ndarray) -> float:
    """Return the error of images restored from principal components, clipped to [0, 1]."""
    restored = pca.inverse_transform(codes).clip(0, 1)
    return float(np.square(restored - test.reshape(len(test), -1)).mean())


def fixed_length(reference: np.ndarray, test: np.ndarray, sizes: list[int]) -> dict[int, float]:
    """Return the error of PCA per number of bits, each bit given where it lowers the error most.

    The cells of a component are those of its best scalar quantiser (Lloyd and Max) on training
    images. As errors of components add up, greedy allocation is optimal while the gain of a
    component's next bit falls with its bits, the condition of reverse water-filling.
    """
    pca, z, codes = _projected(reference, test)
    bits = np.zeros(COMPONENTS, int)
    centres = [{0: np.zeros(1), 1: _lloyd(unit, 1)} for unit in z.T]

    def gain(unit: int) -> float:
        both = (centres[unit][bits[unit] + extra] for extra in (0, 1))
        before, after = (np.square(_nearest(c, z[:, unit]) - z[:, unit]).mean() for c in both)
        return float(before - after)

    queue = [(-gain(unit), unit) for unit in range(COMPONENTS)]
    heapify(queue)
    errors = {}
    for total in range(1, max(sizes) + 1):
        _, unit = heappop(queue)
        bits[unit] += 1
        centres[unit][bits[unit] + 1] = _lloyd(z[:, unit], bits[unit] + 1)
        heappush(queue, (-gain(unit), unit))
        if total in sizes:
            stored = [_nearest(centres[k][bits[k]], codes[:, k]) for k in range(COMPONENTS)]
            errors[total] = _error(pca, np.stack(stored, 1), test)
    return errors


def _lloyd(values: np.ndarray, bits: int) -> np.ndarray:
    """Return the 2^bits values with the least squared error, by Lloyd's algorithm."""
    size = 2**bits
    centres = np.quantile(values, (np.arange(size) + 0.5) / size)
    for _ in range(LLOYD_STEPS):
        cells = np.searchsorted((centres[1:] + centres[:-1]) / 2, values)
        counts, sums = np.bincount(cells, minlength=size), np.bincount(cells, values, size)
        centres = np.where(counts > 0, sums / np.maximum(counts, 1), centres)
    return centres


def _nearest(centres: np.ndarray, values: np.ndarray) -> np.ndarray:
    return centres[np.searchsorted((centres[1:] + centres[:-1]) / 2, values)]


def entropy_coded(reference: np.ndarray, test: np.ndarray) -> pd.DataFrame:
    """Return bits and errors of PCA with cells of one width and an ideal entropy coder.

    At high rates one width for all components is optimal (reverse water-filling). The code lengths
    are those of the cells' shares among training images; a cell is decoded to its mean.
    """
    pca, z, codes = _projected(reference, test)
    rows = []
    for step in STEPS:
        bits, stored = np.zeros(len(codes)), np.empty_like(codes)
        for k in range(COMPONENTS):
            low = int(np.floor(z[:, k].min() / step + 0.5))
            cells, own = (np.floor(v[:, k] / step + 0.5).astype(int) - low for v in (z, codes))
            counts = np.bincount(cells)
            own = own.clip(0, len(counts) - 1)
            shares = (counts + 0.5) / (counts + 0.5).sum()
            means = np.bincount(cells, z[:, k]) / np.maximum(counts, 1)
            bits -= np.log2(shares[own])
            stored[:, k] = np.where(counts[own] > 0, means[own], (own + low) * step)
        rows.append({"bits": bits.mean(), "error": _error(pca, stored, test)})
    return pd.DataFrame(rows)
