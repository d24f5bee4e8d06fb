"""Compare training and scoring of series with bare loops; writes docs/benchmarks/series_speed.md.

    python scripts/series_speed.py

Training: Lightning with the views of windows against a plain loop over materialised windows, with
the same network, batches and optimiser. Scoring: rows of a stream, in batches of rows, and of a
file, against forward passes over prepared windows in batches of the same size. The contestants
alternate; rates are those of the best round. One thread; windows of 100 steps and 8 channels.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from common import ROOT, argument_parser, fastest_seconds, write_page
from torch import Tensor

from hourglass.core.memory_allocator import keep_freed_memory
from hourglass.data.columns.column import Column
from hourglass.data.prepared_data import PreparedInMemory, Samples, Split
from hourglass.data.series_encoding import SeriesEncoding
from hourglass.detection.scorers import ModelScore
from hourglass.detection.scoring import FittedScorer
from hourglass.detection.series_stream import SeriesStream
from hourglass.models import Undercomplete
from hourglass.networks import Dense
from hourglass.training.cell_settings import CellSettings, Training
from hourglass.training.in_memory import train_in_memory

PAGE = ROOT / "docs/benchmarks/series_speed.md"
CHANNELS, WINDOW, ROWS = 8, 100, 20_000
HIDDEN, LATENT_DIM = [128], 16
BATCH_SIZE, EPOCHS = 64, 3
STREAMED = (1, 16, 256)  # rows that arrive at once


def main() -> None:
    """Measure all contestants and print their rates."""
    parser = argument_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    keep_freed_memory()
    rng = np.random.default_rng(0)
    x = np.column_stack([np.arange(float(ROWS)), rng.normal(size=(ROWS, CHANNELS))])
    columns = [Column("t", "time"), *(Column(str(i)) for i in range(CHANNELS))]
    encoding = replace(SeriesEncoding.fit(columns, x), window=WINDOW)
    windows = torch.from_numpy(encoding(x)).unfold(0, WINDOW, 1).contiguous()  # (n, F, W)
    count, epochs = EPOCHS * len(windows), _training(x, encoding, windows)
    rows = [_compare("training, windows", epochs, max(2, rounds // 3), count)]
    network = Dense(encoding.input_shape, LATENT_DIM, HIDDEN).eval().requires_grad_(False)
    bare = Dense(encoding.input_shape, LATENT_DIM, HIDDEN).eval().requires_grad_(False)
    assert encoding.heads is not None
    network.add_heads(encoding.heads)
    scorer = FittedScorer.fit(network, encoding, ModelScore(), x)
    for size in STREAMED:
        count = min(ROWS - WINDOW, size * 1000)
        stream = _stream(scorer, bare, x, windows, size, count)
        rows.append(_compare(f"stream, {size} rows at once", stream, rounds, count))
    file: dict[str, Callable[[], object]] = {
        "bare": lambda: _pass(bare, windows, 1024),
        "ours": lambda: scorer(x),
    }
    rows.append(_compare("file", file, rounds, ROWS))
    table = pd.DataFrame(rows).to_markdown(index=False, floatfmt=",.2f")
    write_page(PAGE, f"# Training and scoring of series\n\n{__doc__}\n{table}\n")


def _compare(
    name: str, contestants: dict[str, Callable[[], object]], rounds: int, count: int
) -> dict[str, object]:
    """Return the thousands of windows or rows per second of both contestants, and their ratio."""
    best = fastest_seconds(rounds, contestants)
    rates = {f"{key}, thousands per second": count / value / 1e3 for key, value in best.items()}
    return {"case": name, **rates, "ratio": best["bare"] / best["ours"]}


def _training(
    x: np.ndarray, encoding: SeriesEncoding, windows: Tensor
) -> dict[str, Callable[[], object]]:
    init_args = {
        "sample_shape": list(encoding.input_shape),
        "latent_dim": LATENT_DIM,
        "hidden": HIDDEN,
        "schedule": "constant",
    }
    settings = CellSettings(
        data="series",
        model="undercomplete",
        class_path="hourglass.models.undercomplete.Undercomplete",
        init_args=init_args,
        training=Training(BATCH_SIZE, EPOCHS, EPOCHS),
        trainer={"accelerator": "cpu", "devices": 1},
        seed=0,
    )
    card = {"scaling": encoding.to_dict(), "sample_shape": [x.shape[1]], "data": "series"}
    held_out = x[: 2 * WINDOW]  # both validate on as few windows as possible
    splits: dict[Split, Samples] = {
        "train": Samples.normal(x),
        "validation": Samples.normal(held_out),
    }
    prepared = PreparedInMemory(Path("series"), card, splits)

    def bare() -> None:
        network = Dense(encoding.input_shape, LATENT_DIM, HIDDEN)
        optimizer = torch.optim.Adam(network.parameters(), fused=True)
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(windows)).split(BATCH_SIZE):
                batch = windows.index_select(0, rows)
                loss = torch.nn.functional.mse_loss(network(batch), batch)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

    return {"bare": bare, "ours": lambda: train_in_memory(Undercomplete, settings, prepared)}


def _stream(
    scorer: FittedScorer, bare: Dense, x: np.ndarray, windows: Tensor, size: int, count: int
) -> dict[str, Callable[[], object]]:
    def ours() -> None:
        stream = SeriesStream(scorer)
        for start in range(0, count, size):
            stream.add(x[start : start + size])

    return {"bare": lambda: _pass(bare, windows[:count], size), "ours": ours}


def _pass(network: Dense, windows: Tensor, size: int) -> None:
    with torch.inference_mode():
        for batch in windows.split(size):
            (network(batch) - batch).square().flatten(1).mean(1)


if __name__ == "__main__":
    main()
