"""Shards of vectors, written in bounded memory."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from hourglass.data.readers.vector_labels import NAMES_SUFFIX

SHARD_BYTES = 128 << 20


class ShardWriter:
    """Write vectors and their labels to numbered .safetensors files of about SHARD_BYTES.

    A file has the arrays `activations`, (n, D), `label`, (n,) int64, and `index`, (n,) int64. Its
    metadata hold `names`, the texts of the labels, as JSON.
    """

    def __init__(self, folder: Path, names: Sequence[str], metadata: Mapping[str, str]) -> None:
        self.folder = folder
        self.metadata = {f"label{NAMES_SUFFIX}": json.dumps(list(names)), **metadata}
        self.parts = list[tuple[np.ndarray, np.ndarray, np.ndarray]]()
        self.files = self.count = 0

    def add(self, vectors: np.ndarray, label: np.ndarray, index: np.ndarray) -> None:
        """Add vectors, (n, D), with their labels and the numbers of their samples, (n,)."""
        self.parts.append((vectors, label, index))
        self.count += len(vectors)
        if sum(part.nbytes for part, *_ in self.parts) >= SHARD_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write the vectors that are not in a file yet."""
        if not self.parts:
            return
        vectors, label, index = map(np.concatenate, zip(*self.parts, strict=True))
        arrays = {"activations": vectors, "label": label, "index": index}
        path = self.folder / f"activations-{self.files:05}.safetensors"
        # `save_file` would write a file that only its owner may read.
        path.write_bytes(save(arrays, metadata=self.metadata))
        self.files += 1
        self.parts.clear()
