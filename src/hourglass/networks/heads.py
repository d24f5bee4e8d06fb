"""Input and output heads of a table: categories, booleans and missing cells."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

# A missing cell is surprising if fewer training rows than this share have one in its column.
RARE_MISSING_SHARE = 0.01


class TableHeads(nn.Module):
    """Fill missing cells of network inputs; map outputs to probabilities; compute column losses.

    `columns` describes the inputs of each column, see `TableEncoding.heads`: first the value cells
    of all columns, then the indicators. There are C columns and F inputs. The value cells of a
    missing cell are NaN.
    """

    column: Tensor  # (F,) the column of each input
    is_indicator: Tensor  # (F,)
    is_number: Tensor  # (values,) of the value cells
    is_boolean: Tensor  # (values,)
    numbers: Tensor  # (C,)
    first: Tensor  # (C,) the first value cell of each column
    weights: Tensor  # (values, C) from elements to columns, without categories
    missing_loss: Tensor  # (C,) NaN if missing cells are common, as they say nothing then
    # Categories as a matrix of inputs, (categories, width), padded to the largest number of levels.
    cells: Tensor
    padding: Tensor
    placement: Tensor  # (categories, C)
    position: Tensor  # (values,) in the outputs followed by the flattened probabilities

    def __init__(self, columns: list[dict[str, Any]]) -> None:
        super().__init__()
        self.columns = columns
        widths = [column["width"] for column in columns]
        first = [sum(widths[:i]) for i in range(len(widths))]
        indicated = [i for i, column in enumerate(columns) if column["indicator"]]
        source = [i for i, width in enumerate(widths) for _ in range(width)]
        self.values = len(source)  # inputs that are no indicators
        kinds = [column["kind"] for column in columns]
        # If all columns are numbers without missing cells, an input is a column.
        self.is_plain = not indicated and set(kinds) <= {"numeric"}
        self._buffer("column", [*source, *indicated])
        self._buffer("is_number", [kinds[i] in ("numeric", "datetime") for i in source])
        self._buffer("is_boolean", [kinds[i] == "boolean" for i in source])
        self.has_booleans = "boolean" in kinds
        self._buffer("is_indicator", [False] * self.values + [True] * len(indicated))
        self._buffer("numbers", [kind in ("numeric", "datetime") for kind in kinds])
        self._buffer("first", first)
        weights = torch.zeros(self.values, len(columns))
        for cell, i in enumerate(source):
            weights[cell, i] = 1 / widths[i] if kinds[i] != "categorical" else 0.0
        self.register_buffer("weights", weights, persistent=False)
        surprises = [_surprise(c["missing_share"], c["count"]) for c in columns]
        self.register_buffer("missing_loss", torch.tensor(surprises), persistent=False)
        categories = [i for i, kind in enumerate(kinds) if kind == "categorical"]
        width = max((widths[i] for i in categories), default=0)
        self.has_categories = bool(categories)
        self._buffer(
            "cells", [[first[i] + min(k, widths[i] - 1) for k in range(width)] for i in categories]
        )
        self._buffer("padding", [[k >= widths[i] for k in range(width)] for i in categories])
        self.register_buffer("placement", torch.eye(len(columns))[categories], persistent=False)
        position = list(range(self.values))
        for row, i in enumerate(categories):
            for k in range(widths[i]):
                position[first[i] + k] = self.values + row * width + k
        self._buffer("position", position)

    def _buffer(self, name: str, values: list[Any]) -> None:
        dtype = None if values else torch.int64
        self.register_buffer(name, torch.tensor(values, dtype=dtype), persistent=False)

    def fill(self, x: Tensor) -> Tensor:
        """Return inputs with 0 in missing cells: (N, F) -> (N, F), the same tensor without any."""
        if self.is_plain and (self.training or all_finite(x)):
            return x
        return torch.nan_to_num(x, nan=0.0)

    def reconstruction(self, logits: Tensor) -> Tensor:
        """Return the expected inputs, probabilities of categories: (N, F) -> (N, F).

        The network is not asked for the indicators; they are 0.
        """
        if self.is_plain:
            return logits
        values = logits[:, : self.values]
        output = torch.where(self.is_boolean, values.sigmoid(), values)
        if self.has_categories:
            probabilities = self._log_probabilities(values).exp().flatten(1)
            output = torch.cat([output, probabilities], 1)[:, self.position]
        missing = logits.new_zeros(logits.shape[0], logits.shape[1] - self.values)
        return torch.cat([output, missing], 1)

    def observed(self, x: Tensor, output: Tensor) -> Tensor:
        """Return the reconstruction with the missing cells and the indicators of `x`."""
        keep = x.isnan() if self.is_plain else x.isnan() | self.is_indicator
        return torch.where(keep, x, output)

    def losses(self, x: Tensor, logits: Tensor) -> Tensor:
        """Return the loss of each column: inputs and outputs, (N, F) each -> (N, C).

        The losses are: of a number, the squared error; of a boolean, the binary cross-entropy; of a
        category, the cross-entropy in nats. The loss of a missing cell is NaN, or its surprise,
        log(RARE_MISSING_SHARE / share of missing cells in training), if that is positive.
        """
        if self.is_plain:
            squares = functional.mse_loss(logits, x, reduction="none")
            if self.training or all_finite(squares):
                return squares  # nothing is missing
            return torch.where(x.isnan(), self.missing_loss, squares)
        known = torch.nan_to_num(x[:, : self.values], nan=0.0)
        values = logits[:, : self.values]
        elements = (values - known).square()
        if self.has_booleans:
            entropy = _binary_cross_entropy(values, known.clamp(0, 1))
            elements = torch.where(self.is_boolean, entropy, elements)
        losses = elements @ self.weights
        if self.has_categories:
            terms = self._log_probabilities(values).masked_fill(self.padding, 0)
            losses = losses - (terms * known[:, self.cells]).sum(2) @ self.placement
        missing = x[:, self.first].isnan()
        return torch.where(missing, self.missing_loss.to(losses.dtype), losses)

    def expected_losses(self, logits: Tensor) -> Tensor:
        """Return the expected loss of each column, given the outputs: (N, F) -> (N, C).

        For a boolean or a category, this is the entropy of the predicted distribution; for a
        number, it is NaN.
        """
        values = logits[:, : self.values]
        losses = logits.new_zeros(logits.shape[0], len(self.columns))
        if self.has_booleans:
            entropy = _binary_cross_entropy(values, values.sigmoid())
            losses = torch.where(self.is_boolean, entropy, 0.0) @ self.weights
        if self.has_categories:
            terms = self._log_probabilities(values)
            terms = terms.exp() * terms.masked_fill(self.padding, 0)
            losses = losses - terms.sum(2) @ self.placement
        return losses.masked_fill(self.numbers, math.nan)

    def _log_probabilities(self, values: Tensor) -> Tensor:
        """Return the log-probabilities of levels, padded: (N, values) -> (N, categories, width)."""
        logits = values[:, self.cells].masked_fill(self.padding, -math.inf)
        return logits.log_softmax(2)


class WindowHeads(TableHeads):
    """The heads of windows of a series, (N, F, W): those of a table at each of W steps."""

    def reconstruction(self, logits: Tensor) -> Tensor:
        """Return the expected inputs of all steps: (N, F, W) -> (N, F, W)."""
        if self.is_plain:
            return logits
        return _windows(super().reconstruction(_steps(logits)), logits.shape[2])

    def observed(self, x: Tensor, output: Tensor) -> Tensor:
        """Return the reconstruction with the missing cells and the indicators of `x`."""
        return _windows(super().observed(_steps(x), _steps(output)), x.shape[2])

    def losses(self, x: Tensor, logits: Tensor) -> Tensor:
        """Return the loss of each column at each step: (N, F, W) each -> (N, W, C)."""
        if self.is_plain:  # without copies of windows as rows
            squares = functional.mse_loss(logits, x, reduction="none")
            if not (self.training or all_finite(squares)):
                squares = torch.where(x.isnan(), self.missing_loss[:, None], squares)
            return squares.transpose(1, 2)
        losses = super().losses(_steps(x), _steps(logits))
        return losses.unflatten(0, (-1, x.shape[2]))

    def expected_losses(self, logits: Tensor) -> Tensor:
        """Return the expected loss of each column at each step: (N, F, W) -> (N, W, C)."""
        return super().expected_losses(_steps(logits)).unflatten(0, (-1, logits.shape[2]))


def _steps(windows: Tensor) -> Tensor:
    """Return the steps of all windows as rows: (N, F, W) -> (N * W, F)."""
    return windows.transpose(1, 2).flatten(0, 1)


def _windows(steps: Tensor, window: int) -> Tensor:
    """Return rows as windows of steps: (N * W, F) -> (N, F, W)."""
    return steps.unflatten(0, (-1, window)).transpose(1, 2)


class FillMissing(nn.Module):
    """The first module of an encoder: fill missing cells, then apply the former first module."""

    def __init__(self, heads: TableHeads, following: nn.Module) -> None:
        super().__init__()
        self.heads = (heads,)  # a tuple, since the network registers the heads
        self.following = following

    def forward(self, x: Tensor) -> Tensor:
        """Return the inputs of the next layer: (N, F) -> (N, ...)."""
        output: Tensor = self.following(self.heads[0].fill(x))
        return output


def all_finite(x: Tensor) -> bool:
    """Return whether all elements, and their sum, are finite; False in an ONNX export.

    A graph cannot depend on the values. The sum is faster than a mask of the missing cells.
    """
    return not torch.compiler.is_exporting() and math.isfinite(x.sum().item())


def column_mean(losses: Tensor) -> Tensor:
    """Return the mean loss over columns, without the missing ones: (N, ..., C) -> (N, ...)."""
    if not torch.compiler.is_exporting() and not (mean := losses.mean(-1)).isnan().any():
        return mean  # a graph cannot depend on the values
    missing = losses.isnan()
    return losses.masked_fill(missing, 0).sum(-1) / (~missing).sum(-1)


def _binary_cross_entropy(logits: Tensor, x: Tensor) -> Tensor:
    """Return the binary cross-entropy of each element."""
    if not torch.compiler.is_exporting():
        return functional.binary_cross_entropy_with_logits(logits, x, reduction="none")
    # The ONNX export of torch's function takes the logarithm of a sigmoid, which may be 0.
    return logits.clamp(min=0) - logits * x + (-logits.abs()).exp().log1p()


def _surprise(missing_share: float, count: int) -> float:
    """Return the loss of a missing cell: its excess surprise in nats, or NaN if there is none."""
    share = (missing_share * count + 0.5) / (count + 1)
    surprise = math.log(RARE_MISSING_SHARE / share)
    return surprise if surprise > 0 else math.nan
