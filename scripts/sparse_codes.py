"""Measure sparse dictionaries on real vectors; writes docs/benchmarks/sparse_codes.md.

    python scripts/sparse_codes.py             # needs HOURGLASS_DATA; resumes in build/sparse_codes

Trains every sparsity at several numbers of active units on MNIST pixels and on activations of
`convolutional` on Fashion-MNIST, and compares them at equal L0. The speed of training and of
decoding comes from scripts/sparse_speed.py, whose results the page includes if they exist.
"""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from common import ROOT, argument_parser, data_folder, enter, merge_results, timed, write_page
from torch import Tensor

from hourglass.data.prepared_data import SPLITS, PreparedInMemory, Samples
from hourglass.data.scaling import Scaling
from hourglass.networks import Network
from hourglass.studies.sparse_codes.metrics import CodeSums

WIDTHS, SEEDS, L0 = (1024, 4096), (0, 1, 2), (8, 16, 32)
COMPARED = ("batch_topk", "topk", "l1")
OTHERS = ("matryoshka", "gated", "jumprelu")  # at OTHER_WIDTH only
OTHER_WIDTH = 1024
# Weights of the L1 norms, found by trial: L0 of the trained dictionaries spans 8 to 32.
WEIGHTS = {"l1": (4.0, 8.0, 16.0, 32.0), "gated": (4.0, 8.0, 16.0, 32.0)}
ROWS, VALIDATION_ROWS, BATCH_SIZE, EPOCHS, LEARNING_RATE = 24_576, 2048, 256, 6, 2e-3
CONVOLUTIONAL_EPOCHS, CHANNELS = 3, [8, 16]
DATA = {"mnist pixels": "MNIST", "convolutional, fashion_mnist": "FashionMNIST"}
MAX_EXTRAPOLATION = 0.1  # of the logarithm of L0
KEYS = ["data", "width", "sparsity", "setting", "seed"]
RESULTS = Path("runs.csv")  # in the folder of the script
INTRODUCTION = f"""# Sparse codes

Made by `python scripts/sparse_codes.py` and `python scripts/sparse_speed.py`. Every dictionary is
trained on the same {ROWS:,} vectors for {EPOCHS} epochs with batches of {BATCH_SIZE} and a cosine
schedule from a learning rate of {LEARNING_RATE}, and measured on the 10,000 test vectors.

- `mnist pixels`: images of 784 pixels, scaled to [0, 1].
- `convolutional, fashion_mnist`: the last feature map, 784 activations, of the variant
  `convolutional` with {CHANNELS[0]} and {CHANNELS[1]} channels after {CONVOLUTIONAL_EPOCHS} epochs.

FVU is the sum over samples of the squared error, divided by the sum over samples of the squared
deviation from the mean. L0 is the mean number of active units per sample. `l1` and `gated` have no
setting for L0: they are trained at several weights of their penalty. For all sparsities, FVU at an
L0 is interpolated in the logarithms of both between the trained dictionaries. Cells are the mean
over the seeds and half the range over them. A dead unit is active for none
of the test vectors; the column is the mean over all dictionaries of the row.

The trainings are short: {ROWS // BATCH_SIZE * EPOCHS} steps. Many units are dead after them at
small L0 and on activations; `l1`, which resamples dead units at three epochs, has the most. On
pixels at L0 = 8 the error of `topk` is below that of `batch_topk`, by more than the spread of the
seeds. The settings of the auxiliary loss were chosen by `batch_topk` on MNIST's test images with
seed 0, so its rows are slightly optimistic there.
"""


def main() -> None:
    """Train the missing dictionaries and write the page."""
    parser = argument_parser(__doc__)
    parser.add_argument("--page", action="store_true", help="write the page of the runs so far")
    only_page = parser.parse_args().page
    enter(ROOT / "build/sparse_codes")
    torch.set_num_threads(1)
    vectors: dict[str, tuple[Tensor, Tensor]] = {}
    for seed, name, width, sparsity, setting in () if only_page else _cases():
        if not _is_done(name, width, sparsity, setting, seed):
            if name not in vectors:
                vectors[name] = load_vectors(name)
            row = measure(*vectors[name], width, sparsity, setting, seed)
            keys = dict(zip(KEYS, (name, width, sparsity, setting, seed), strict=True))
            print(keys | row, flush=True)
            merge_results(RESULTS, pd.DataFrame([keys | row]), KEYS)
    write_page(ROOT / "docs/benchmarks/sparse_codes.md", page())


def _cases() -> list[tuple[int, str, int, str, float]]:
    """Return seed, data, width, sparsity, and k or the weight of the penalty, of all dictionaries.

    The narrow ones come first, those of OTHERS last.
    """
    cases = [*product(WIDTHS, DATA, SEEDS, COMPARED), *product([OTHER_WIDTH], DATA, SEEDS, OTHERS)]
    return [
        (seed, name, width, sparsity, float(setting))
        for width, name, seed, sparsity in cases
        for setting in WEIGHTS.get(sparsity, L0)
    ]


def _is_done(*key: Any) -> bool:
    if not RESULTS.exists():
        return False
    table = pd.read_csv(RESULTS)
    return bool((table[KEYS] == list(key)).all(axis=1).any())


def load_vectors(name: str) -> tuple[Tensor, Tensor]:
    """Return the training and the test vectors of a data set, (N, D) float32."""
    from torchvision import datasets

    source = getattr(datasets, DATA[name])
    train, test = (source(data_folder(), train=part).data for part in (True, False))
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))
    train, test = (images[:, None].float() / 255 for images in (train[order], test))
    train = train[: ROWS + VALIDATION_ROWS]
    if DATA[name] == "MNIST":
        return train.flatten(1), test.flatten(1)
    return _activations(train, test)


def _activations(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Return the last feature maps of a trained convolutional network, flattened."""
    from hourglass.models.convolutional import Convolutional

    shape = list(train.shape[1:])
    settings = {"sample_shape": shape, "channels": CHANNELS, "latent_dim": 64}
    network = fit(Convolutional, settings, train, CONVOLUTIONAL_EPOCHS, 0)
    with torch.inference_mode():
        parts = [network.layers(part)[-2] for part in torch.cat([train, test]).split(1024)]
    vectors = torch.cat(parts)
    return vectors[: len(train)].clone(), vectors[len(train) :].clone()


def fit(kind: type, settings: dict[str, Any], x: Tensor, epochs: int, seed: int) -> Network:
    """Train a variant on samples in memory, the last VALIDATION_ROWS for validation."""
    from hourglass.training.cell_settings import CellSettings, Training
    from hourglass.training.in_memory import train_in_memory

    array = x.numpy()
    parts = {name: Samples.normal(array[-VALIDATION_ROWS:]) for name in SPLITS}
    parts["train"] = Samples.normal(array[:-VALIDATION_ROWS])
    card = {
        "sample_shape": list(array.shape[1:]),
        "scaling": Scaling.none().to_dict(),
        "columns": [],
    }
    path = f"{kind.__module__}.{kind.__qualname__}"
    training = Training(BATCH_SIZE, epochs, epochs)
    cell = CellSettings("vectors", kind.__name__, path, settings, training, {}, seed)
    return train_in_memory(kind, cell, PreparedInMemory(Path("vectors"), card, parts))[0]


def measure(
    x: Tensor, test: Tensor, width: int, sparsity: str, setting: float, seed: int
) -> dict[str, float]:
    """Train a dictionary; return its FVU, L0 and share of dead units on the test vectors."""
    from hourglass.models.sparse import Sparse

    settings: dict[str, Any] = {
        "sample_shape": list(x.shape[1:]),
        "latent_dim": width,
        "sparsity": sparsity,
        "learning_rate": LEARNING_RATE,
    }
    if sparsity in WEIGHTS:
        settings["sparsity_weight"] = setting
    else:
        settings["k"] = int(setting)
    network, seconds = timed(fit, Sparse, settings, x, EPOCHS, seed)
    mean = test.double().mean(0).numpy()
    blocks: list[CodeSums] = []
    with torch.inference_mode():
        for part in test.split(1024):
            z = network.encode(part)
            blocks.append(CodeSums.of(part.numpy(), network.decode(z).numpy(), z.numpy(), mean))
    metrics = sum(blocks[1:], blocks[0]).metrics()
    return {
        "fvu": metrics["FVU"],
        "l0": metrics["L0"],
        "dead": metrics["dead_units"],
        "seconds": seconds,
    }


def page() -> str:
    """Return the page from all results."""
    runs = pd.read_csv(RESULTS)
    order = [*COMPARED, *OTHERS]
    rows: list[dict[str, Any]] = []
    for key, group in runs.groupby(["data", "width", "sparsity"], sort=False):
        name, width, sparsity = key
        if min(group.groupby("seed").size()) < 2:
            continue  # nothing to interpolate yet
        row: dict[str, Any] = {"vectors": name, "width": width, "sparsity": sparsity}
        for target in L0:
            values = [_at(part, target) for _, part in group.groupby("seed")]
            text = f"{np.mean(values):.4f} ± {np.ptp(values) / 2:.4f}"
            row[f"FVU at L0 = {target}"] = "" if np.isnan(values).any() else text
        row["seeds"] = group.seed.nunique()
        row["dead units"] = f"{group.dead.mean():.2%}"
        row["seconds per training"] = f"{group.seconds.median():.0f}"
        rows.append(row)
    rows.sort(key=lambda row: (row["vectors"], row["width"], order.index(row["sparsity"])))
    text = INTRODUCTION + "\n" + pd.DataFrame(rows).to_markdown(index=False) + "\n"
    speed = Path("speed.md")
    return text + ("\n" + speed.read_text(encoding="utf-8") if speed.exists() else "")


def _at(runs: pd.DataFrame, target: float) -> float:
    """Return FVU at an L0, by interpolation in logarithms; NaN far beyond the ends."""
    runs = runs.sort_values("l0")
    x, y = np.log(runs.l0.to_numpy()), np.log(runs.fvu.to_numpy())
    if not x[0] - MAX_EXTRAPOLATION < np.log(target) < x[-1] + MAX_EXTRAPOLATION:
        return np.nan
    i = int(np.clip(np.searchsorted(x, np.log(target)) - 1, 0, len(x) - 2))
    slope = (y[i + 1] - y[i]) / (x[i + 1] - x[i])
    return float(np.exp(y[i] + slope * (np.log(target) - x[i])))


if __name__ == "__main__":
    main()
