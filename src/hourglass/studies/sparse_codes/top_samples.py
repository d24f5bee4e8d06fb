"""The samples that activate each unit most, found block by block."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class TopSamples:
    """Per unit, the samples with the largest codes, in descending order."""

    rows: np.ndarray  # (count, latent_dim) indices of samples; -1 where fewer are active
    activations: np.ndarray  # (count, latent_dim) their codes, 0 where fewer are active

    @classmethod
    def none(cls, count: int, latent_dim: int) -> "TopSamples":
        """Return no samples, with room for `count` of them per unit."""
        shape = (count, latent_dim)
        return cls(np.full(shape, -1), np.zeros(shape, np.float32))

    def with_block(self, rows: np.ndarray, z: np.ndarray) -> "TopSamples":
        """Return the top samples among these and a block, with indices (n,) and codes (n, units).

        Of equal codes, those with the smaller index come first.
        """
        count, latent_dim = self.rows.shape
        kept, new = np.nonzero(self.rows >= 0), np.nonzero(z > self.activations[-1])
        unit = np.concatenate([kept[1], new[1]])
        row = np.concatenate([self.rows[kept], rows[new[0]]])
        activation = np.concatenate([self.activations[kept], z[new]])
        order = np.lexsort((row, -activation, unit))
        unit, row, activation = unit[order], row[order], activation[order]
        rank = np.arange(len(unit)) - np.searchsorted(unit, unit)
        best, top = rank < count, TopSamples.none(count, latent_dim)
        place = rank[best], unit[best]
        top.rows[place], top.activations[place] = row[best], activation[best]
        return top

    def of_unit(self, unit: int) -> tuple[np.ndarray, np.ndarray]:
        """Return indices and codes of the samples of one unit, fewer if it is rarely active."""
        active = self.rows[:, unit] >= 0
        return self.rows[active, unit], self.activations[active, unit]
