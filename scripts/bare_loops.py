"""Bare training loops for the trained cells of a checkout; prints seconds per cell as JSON."""

import json
import time
from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from hourglass.core.paths import Cell
from hourglass.core.settings import params
from hourglass.data.prepared_data import SPLITS, Prepared, Split
from hourglass.models.base import LitAutoencoder
from hourglass.training.cell_settings import resolve_cell
from hourglass.training.trainer import make_module


def main() -> None:
    """Train every cell of the grid for the epochs of its recorded training."""
    grid = params()
    cells = [Cell(data, model) for data in grid.data for model in grid.models]
    print(json.dumps({cell.name: cell_seconds(cell) for cell in cells}))


def cell_seconds(cell: Cell) -> float:
    """Return the seconds of the loops of a cell, pre-training phases included."""
    prepared = Prepared.open(cell.prepared)
    settings = resolve_cell(cell, prepared.input_shape, len(prepared.x("train")))
    module = make_module(settings)
    train, validation = (_scaled(prepared, name) for name in SPLITS[:2])  # train and validation
    epochs, taken = _epochs(cell), 0.0
    for name, part, x, held_out in _parts(module, train, validation):
        start = time.perf_counter()
        train_bare(part, x, held_out, settings.training.batch_size, epochs[name])
        taken += time.perf_counter() - start
    return taken


def _scaled(prepared: Prepared, name: Split) -> Tensor:
    return torch.from_numpy(prepared.scaling(np.array(prepared.split(name).x)))


def _epochs(cell: Cell) -> dict[str, int]:
    """Return the epochs per phase, by name; the main training is ""."""
    rows = pd.read_csv(cell / "train/history.csv")
    phases = rows.phase.fillna("") if "phase" in rows else pd.Series("", rows.index)
    return {str(name): int(count) for name, count in phases.value_counts().items()}


def _parts(
    module: LitAutoencoder, train: Tensor, validation: Tensor
) -> Iterator[tuple[str, LitAutoencoder, Tensor, Tensor]]:
    """Yield the phases and the main training, with their train and validation samples."""
    for phase in module.phases():
        with torch.no_grad():
            codes = phase.lower_layers(train), phase.lower_layers(validation)
        yield phase.name, phase.module, *codes
    yield "", module, train, validation


def train_bare(
    module: LitAutoencoder, x: Tensor, validation: Tensor, batch_size: int, epochs: int
) -> None:
    """Train on scaled samples in memory, with a validation error per epoch."""
    optimizer = torch.optim.Adam(
        module.parameters(), module.learning_rate, weight_decay=module.weight_decay, fused=True
    )
    for _ in range(epochs):
        for indices in torch.randperm(len(x)).split(batch_size):
            loss = module.training_loss(x.index_select(0, indices))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            torch.cat([module.score(part) for part in validation.split(batch_size)]).mean().item()


if __name__ == "__main__":
    main()
