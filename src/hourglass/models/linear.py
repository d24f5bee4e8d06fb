"""Linear autoencoder: without activations, the optimum is PCA, which is computed directly."""

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import eigsh

from hourglass.models.base import LitAutoencoder
from hourglass.models.corruption import Corruption
from hourglass.networks import Dense

LANCZOS_SIZE = 1000
MAX_BYTES = 1 << 30  # of samples, unless their scatter matrix is smaller
RANK_TOLERANCE = 1e-12  # of the largest eigenvalue


class Linear(LitAutoencoder):
    """Minimise ||x - D(E x)||^2 with one encoder matrix E, one decoder matrix D, and biases.

    The optimum is PCA's reconstruction (Baldi and Hornik 1989), and training starts there. It ends
    after one epoch without updates if nothing is left to learn, see `is_pca`. Otherwise gradient
    steps follow.
    """

    def __init__(
        self,
        sample_shape: Sequence[int],
        latent_dim: int = 32,
        tied: bool = False,
        **training: Any,
    ) -> None:
        network = Dense(sample_shape, latent_dim, activation="identity", tied=tied)
        super().__init__(network, **training)

    @property
    def is_pca(self) -> bool:
        """Return True if PCA minimises the training loss.

        Corruption and weight decay change the optimum, and a subclass may change the loss.
        Categories and missing cells have other losses than the squared error.
        """
        heads = self.network.heads
        changes = self.weight_decay or self.corruption != Corruption()
        return type(self) is Linear and not changes and (heads is None or heads.is_plain)

    def configure_optimizers(self) -> Any:
        """Return an optimizer, which does not change the weights if they are already optimal."""
        if self.is_pca:
            return torch.optim.Adam(self.parameters(), lr=0.0, fused=True)
        return super().configure_optimizers()

    def on_train_start(self) -> None:
        """Set the weights to PCA of the training samples, unless the training was resumed."""
        if self.trainer.global_step:
            return
        mean, components = self._mean_and_components()
        weight = np.zeros((self.network.latent_dim, len(mean)))
        weight[: len(components)] = components
        values = {
            "encoder.1.weight": weight,
            "encoder.1.bias": -weight @ mean,
            "decoder.0.weight": weight.T,  # absent if tied
            "decoder.0.bias": mean,
        }
        names = self.network.state_dict()
        self.network.load_state_dict({name: torch.tensor(values[name]) for name in names})

    def on_train_epoch_end(self) -> None:
        """End the training after one epoch if the weights are already optimal."""
        if self.is_pca:
            self.trainer.should_stop = True

    def _mean_and_components(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean of the training samples, (F,), and their leading principal components.

        There are latent_dim components, (K, F), or fewer if the samples span fewer dimensions. The
        sign of a component makes its largest element positive. If the scatter matrix, (F, F), would
        take more than MAX_BYTES, as that of large images, the samples are the first of an epoch, in
        its random order, that take MAX_BYTES.
        """
        features = math.prod(self.network.sample_shape)
        most = math.inf if 8 * features**2 <= MAX_BYTES else MAX_BYTES / (8 * features)
        total, scatter = np.zeros(features + 1), np.zeros(())
        rows: list[np.ndarray] = []  # not yet in `scatter`
        for x in self._training_samples():
            total += np.append(x.sum(0), len(x))
            rows.append(x)
            if sum(map(len, rows)) >= features:
                scatter, rows = scatter + _scatter(rows), []
            if total[-1] >= most:
                break
        total = self._over_processes(total)
        count, mean = total[-1], total[:-1] / total[-1]
        if count >= features or self.trainer.world_size > 1:
            scatter = self._over_processes(scatter + _scatter(rows) if rows else scatter)
            scatter -= count * np.outer(mean, mean)
            components = leading_eigenvectors(scatter, self.network.latent_dim)
        else:  # fewer samples than features: the eigenvectors of the smaller Gram matrix
            centred = np.concatenate(rows)
            rows.clear()
            centred -= mean
            vectors = leading_eigenvectors(centred @ centred.T, self.network.latent_dim)
            components = vectors @ centred
            components /= np.linalg.norm(components, axis=1, keepdims=True)
        largest = np.abs(components).argmax(1, keepdims=True)
        return mean, components * np.sign(np.take_along_axis(components, largest, 1))

    def _training_samples(self) -> Iterator[np.ndarray]:
        """Yield the samples of one epoch in batches, (N, F) float64."""
        batches, loader = self.trainer.num_training_batches, self.trainer.train_dataloader
        assert loader is not None
        for batch in islice(loader, None if math.isinf(batches) else int(batches)):
            x = torch.nan_to_num(self.samples(batch).flatten(1), nan=0.0)
            yield x.double().cpu().numpy()

    def _over_processes(self, local: Any) -> np.ndarray:
        """Return the sum of an array over all processes."""
        if self.trainer.world_size == 1:
            return np.asarray(local)
        tensor = torch.from_numpy(local).to(self.device)
        total: torch.Tensor = self.trainer.strategy.reduce(tensor, reduce_op="sum")
        return total.cpu().numpy()


def _scatter(rows: list[np.ndarray]) -> np.ndarray:
    """Return the sum of the outer products of all rows: blocks (N, F) -> (F, F)."""
    x = np.concatenate(rows)
    return x.T @ x


def leading_eigenvectors(matrix: np.ndarray, count: int) -> np.ndarray:
    """Return eigenvectors of a positive semi-definite matrix, (n, n) -> (at most `count`, n).

    They are in descending order of the eigenvalues; those of eigenvalue 0 are omitted. Lanczos'
    method is faster for few eigenvectors of a large matrix.
    """
    size = len(matrix)
    if size > LANCZOS_SIZE and count < size / 10:
        values, vectors = eigsh(matrix, count, v0=np.ones(size))
    else:
        values, vectors = np.linalg.eigh(matrix)
    order = np.argsort(-values, kind="stable")[:count]
    order = order[values[order] > RANK_TOLERANCE * values.max()]
    return np.asarray(vectors[:, order].T)
