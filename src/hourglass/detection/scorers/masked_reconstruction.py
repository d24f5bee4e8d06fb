"""A score for tables: the loss of each column, predicted from the other columns."""

import torch
from torch import Tensor

from hourglass.core.errors import UserError
from hourglass.detection.scorers.forward_cache import ForwardCache
from hourglass.detection.scorers.reconstruction import StandardizedError
from hourglass.networks.heads import TableHeads
from hourglass.networks.masked import hide


class MaskedReconstruction(StandardizedError):
    """Average the losses of columns, each predicted while its cell is masked as a missing one.

    The network cannot copy a cell that it does not see, so a value that is usual by itself but does
    not fit the other columns has a large loss: the negative log-likelihood of a category, or the
    squared error of a number. As in StandardizedError, a loss is divided by its mean on normal
    samples. A table of C columns takes C forward passes.

    Raises a UserError if samples are images.
    """

    name = "masked_reconstruction"

    def extract(self, forward: ForwardCache) -> Tensor:
        """Return the loss of each column, masked, (N, C); those of a series by step, (N, W, C)."""
        heads = forward.network.heads
        if heads is None:
            raise UserError(
                "MaskedReconstruction masks columns of a table, but samples are images."
            )
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
