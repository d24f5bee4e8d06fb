"""Inputs, reconstructions and sparse codes of many samples, block by block in bounded memory."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix, vstack
from torch import Tensor

from hourglass.data.scaling import Encoding
from hourglass.detection.inference import Extractor, map_batches
from hourglass.detection.scorers.forward_cache import ForwardCache
from hourglass.networks import Network

MAX_BLOCK_ELEMENTS = 2**23  # of inputs or codes, 32 MiB


@dataclass(frozen=True)
class Block:
    """A block of samples: indices, inputs of the network, reconstructions and codes."""

    rows: np.ndarray  # (n,)
    x: np.ndarray  # (n, D) float32, scaled, 0 in missing cells
    reconstruction: np.ndarray  # (n, D)
    z: np.ndarray  # (n, latent_dim)


@dataclass(frozen=True)
class CodeReader:
    """Reads chosen samples of a split through a network; `x`, (N, *S), may be memory-mapped."""

    network: Network
    x: np.ndarray
    rows: np.ndarray  # (n,) ascending
    scaling: Encoding

    def blocks(self) -> Iterator[Block]:
        """Yield the samples in blocks."""
        for rows, arrays in self._map(_inputs, _outputs, lambda forward: forward.z):
            yield Block(rows, *arrays)

    def mean(self) -> np.ndarray:
        """Return the mean input, (D,) float64."""
        total = sum(x.sum(0, dtype=np.float64) for _, (x,) in self._map(_inputs))
        return np.asarray(total) / len(self.rows)

    def arrays(self) -> tuple[np.ndarray, csr_matrix]:
        """Return the inputs, (n, D), and the codes as a sparse matrix, (n, latent_dim)."""
        inputs, codes = [], []
        for _, (x, z) in self._map(_inputs, lambda forward: forward.z):
            inputs.append(x)
            codes.append(csr_matrix(z))
        return np.concatenate(inputs), vstack(codes, format="csr")

    def _map(self, *extractors: Extractor) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
        """Yield the indices and the outputs of the extractors for each block."""
        widest = max(math.prod(self.x.shape[1:]), self.network.latent_dim)
        size = max(1, MAX_BLOCK_ELEMENTS // widest)
        for start in range(0, len(self.rows), size):
            rows = self.rows[start : start + size]
            batches = map_batches(self.network, self.x[rows], self.scaling, *extractors)
            yield rows, [np.concatenate(arrays) for arrays in zip(*batches, strict=True)]


def _inputs(forward: ForwardCache) -> Tensor:
    return forward.network.flat_inputs(forward.x)


def _outputs(forward: ForwardCache) -> Tensor:
    return forward.output.flatten(1)
