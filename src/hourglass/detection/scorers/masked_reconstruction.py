"""A score from hidden parts: the loss of each column or patch, predicted from the others."""

import torch
from torch import Tensor

from hourglass.detection.scorers.forward_cache import ForwardCache
from hourglass.detection.scorers.reconstruction import StandardizedError
from hourglass.networks.base import require_at_least
from hourglass.networks.heads import TableHeads
from hourglass.networks.masked import hide


class MaskedReconstruction(StandardizedError):
    """Average the losses of columns or pixels, each predicted while it is hidden.

    The network cannot copy a cell that it does not see, so a value that is usual by itself but does
    not fit the other columns has a large loss: the negative log-likelihood of a category, or the
    squared error of a number. Of a table, a cell is hidden as a missing one. Of images, squares of
    `patch` x `patch` pixels are hidden in turn, see `ForwardCache.patch_losses`. As in
    StandardizedError, a loss is divided by its mean on normal samples. A table of C columns takes C
    forward passes, an image of P patches P passes. The variant `masked` is trained for it.

    Raises a UserError if `patch` is below 1, or if the network reconstructs features of images.
    """

    name = "masked_reconstruction"

    def __init__(self, patch: int = 4) -> None:
        require_at_least(1, patch=patch)
        self.patch = patch

    def extract(self, forward: ForwardCache) -> Tensor:
        """Return the loss of each column or pixel, (N, F); those of a series by step, (N, W, C)."""
        heads = forward.network.heads
        if heads is None:
            return forward.patch_losses(self.patch)
        losses = []
        for column in range(len(heads.columns)):
            masked = masked_inputs(heads, forward.x, column)
            other = ForwardCache(forward.network, masked, forward.min_rows)
            losses.append(heads.losses(forward.x, other.table_output)[..., column])
        return torch.stack(losses, -1)


def masked_inputs(heads: TableHeads, x: Tensor, column: int) -> Tensor:
    """Return network inputs, (N, F), as if the cells of a column were missing.

    Of a series, (N, F, W), they are missing at all steps.
    """
    cells = heads.column == column
    return hide(x, cells[:, None] if x.ndim == 3 else cells, heads)
