"""Compare compression by codes, PCA and JPEG; writes docs/benchmarks/compression.md.

    python scripts/rate_distortion.py            # needs HOURGLASS_DATA; half an hour on two cores
    python scripts/rate_distortion.py --quick    # minutes; the page is in build/compression-quick

Works in build/compression and resumes there.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from common import ROOT, argument_parser, enter, limit_epochs, prepare_missing, write_page

from hourglass.core.paths import Cell, prepared_folder
from hourglass.data.prepared_data import Prepared
from hourglass.evaluation.figures import save
from hourglass.evaluation.figures.comparisons import rates
from hourglass.networks.weights import load
from hourglass.stages.train import train
from hourglass.studies.compression.analysis import (
    COMPONENT_BITS,
    MAX_TEST_SAMPLES,
    network_rates,
    reference_rates,
)
from hourglass.training.cell_settings import resolve_cell

# Models, trained at every size: the variant in configs/model, and changes of its settings.
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "undercomplete": ("undercomplete", {"hidden": []}),
    "undercomplete_deep": ("undercomplete", {"hidden": [512, 128]}),
    "convolutional": ("convolutional", {}),
}
FULL = (["mnist", "fashion_mnist"], [2, 4, 8, 16, 32, 64], 10)  # data, sizes, epochs
QUICK = (["mnist"], [4, 16], 1)
JPEG_SCAN, TRUNCATED = "jpeg, without headers", "convolutional: truncated"
FIGURE = "images/compression.png"


def main() -> None:
    """Train missing cells, measure, and write the page and its figure."""
    parser = argument_parser(__doc__)
    parser.add_argument("--quick", action="store_true", help="few sizes and epochs")
    quick = parser.parse_args().quick
    data, sizes, epochs = QUICK if quick else FULL
    folder = ROOT / "build" / ("compression-quick" if quick else "compression")
    _workspace(folder, data, sizes, epochs)
    tables = {name: _measure(name, sizes) for name in data}
    _write(folder if quick else ROOT / "docs/benchmarks", tables, epochs)


def _workspace(folder: Path, data: list[str], sizes: list[int], epochs: int) -> None:
    """Set up a working folder in which model names end in the code size."""
    enter(folder)
    for name in data:
        limit_epochs(name, epochs)
    for model, (variant, changes) in MODELS.items():
        config = yaml.safe_load(Path("configs/model", f"{variant}.yaml").read_text("utf-8"))
        for size in sizes:
            text = yaml.safe_dump(config | {"init_args": changes | {"latent_dim": size}})
            Path("configs/model", f"{model}_{size}.yaml").write_text(text, encoding="utf-8")


def _measure(data: str, sizes: list[int]) -> pd.DataFrame:
    """Return the curves of a data set, and all rates of the largest network of each model.

    A point of a model's curve is a network trained at that size.
    """
    prepare_missing(data)
    prepared = Prepared.open(prepared_folder(data))
    parts = [reference_rates(prepared)]
    for model in MODELS:
        for size in sizes:
            cell = Cell(data, f"{model}_{size}")
            if not _trained(cell, prepared):
                print(f"{cell.name}: train", flush=True)
                train(cell.data, cell.model)
            table = network_rates(load(cell.output("train")), prepared)
            at_size = table[(table.method == "code") & (table.bits == COMPONENT_BITS)]
            parts.append(at_size.assign(method=model))
            if size == max(sizes):
                parts.append(table.assign(method=model + ": " + table.method))
    return pd.concat(parts, ignore_index=True)


def _trained(cell: Cell, prepared: Prepared) -> bool:
    """Return whether a cell was trained with its current settings."""
    path = cell / "train/settings.yaml"
    if not path.exists():
        return False
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    return bool(
        settings == asdict(resolve_cell(cell, prepared.input_shape, len(prepared.x("train"))))
    )


def _write(folder: Path, tables: dict[str, pd.DataFrame], epochs: int) -> None:
    """Write the page and its figure below a folder."""
    text = _introduction(epochs)
    for data, table in tables.items():
        at_size = _errors(table, "latent_dim", [*MODELS, TRUNCATED, "pca"]).dropna()
        in_bits = _errors(table, "bits", [f"{model}: code" for model in MODELS])
        text += f"\n## {data}\n\n{_summary(table)}\n\nError by size:\n\n"
        text += at_size.rename_axis("bytes").to_markdown(floatfmt=".4f")
        text += f"\n\nError of {_largest(table)} units by bits per unit (16 and 32 are floats):\n\n"
        text += f"{in_bits.to_markdown(floatfmt='.4f')}\n\n{_jpeg(table)}\n"
    (folder / "images").mkdir(parents=True, exist_ok=True)
    save(rates({data: _drawn(each) for data, each in tables.items()}), folder / FIGURE)
    write_page(folder / "compression.md", text)


def _introduction(epochs: int) -> str:
    return f"""# Compression: bytes per image and error

Made by `python scripts/rate_distortion.py`: networks trained for {epochs} epochs each, seed 0, with
the settings of configs/ (`undercomplete` has no hidden layers, `undercomplete_deep` 512 and 128).
Errors are mean squared errors of pixels in [0, 1] of up to {MAX_TEST_SAMPLES:,} normal test images.

![Reconstruction error over bytes per sample, one panel per data set]({FIGURE})

A code and a principal component take {COMPONENT_BITS} bits per unit, rounded to equal cells of a
range fitted to training codes, without entropy coding. The weights and the principal directions,
which a decoder needs anyway, are not counted. `{JPEG_SCAN}` counts the scan alone, as the headers
and the standard tables are the same in every file; `jpeg` counts the whole file, with the smallest
tables. `truncated` is the largest network's code cut to its leading principal components: no
training for each size, so an upper bound of the error that a network of that size can reach.
"""


def _drawn(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows to plot; bits per unit and PNG are in the page's tables and text only."""
    names = {TRUNCATED: f"{TRUNCATED.replace(':', ',')} code of {_largest(table)}"}
    methods = [*MODELS, TRUNCATED, "pca", JPEG_SCAN, "jpeg"]
    chosen = table[table.method.isin(methods)]
    order = chosen.method.map(methods.index)
    return chosen.assign(method=chosen.method.replace(names)).iloc[np.argsort(order, kind="stable")]


def _largest(table: pd.DataFrame) -> int:
    """Return the largest size that networks were trained with."""
    return int(table[table.method.isin(list(MODELS))].latent_dim.max())


def _errors(table: pd.DataFrame, index: str, methods: list[str]) -> pd.DataFrame:
    """Return the errors of some methods, one row per value of the column `index`."""
    chosen = table[table.method.isin(methods)]
    return chosen.pivot(index=index, columns="method", values="reconstruction_error")[methods]


def _jpeg(table: pd.DataFrame) -> str:
    """Return bytes and errors by JPEG's quality, and the bytes of PNG."""
    files = table[table.method.isin(["jpeg", JPEG_SCAN])]
    shown = files.pivot(index="quality", columns="method", values="bytes")
    lost = files[files.method == "jpeg"].set_index("quality")
    shown = shown.assign(error=lost.reconstruction_error, PSNR=lost.PSNR)
    (png,) = table[table.method == "png"].bytes
    head = f"Bytes of JPEG by quality; lossless PNG takes {png:.0f}:\n\n"
    return head + shown.to_markdown(floatfmt=("", ".0f", ".0f", ".5f", ".1f"))


def _summary(table: pd.DataFrame) -> str:
    """Return a sentence: the bytes that PCA and JPEG need for the error of the best network."""
    size = _largest(table)
    ours = table[table.method.isin(list(MODELS)) & (table.latent_dim == size)]
    best = ours.sort_values("reconstruction_error").iloc[0]
    pca, scan, file = (
        _needed(table[table.method == method], best.reconstruction_error)
        for method in ("pca", JPEG_SCAN, "jpeg")
    )
    return (
        f"At {size} bytes `{best.method}` has the least error of the networks, "
        f"{best.reconstruction_error:.4f}. For the same error PCA needs {pca} bytes, the scan of a "
        f"JPEG file {scan}, and the whole file {file}."
    )


def _needed(rows: pd.DataFrame, error: float) -> str:
    """Return the bytes at which a curve has an error, between its points on logarithmic axes."""
    rows = rows.sort_values("reconstruction_error")
    errors, cost = rows.reconstruction_error, rows.bytes
    if error < errors.iloc[0]:
        return f"more than {cost.iloc[0]:.0f}"
    if error > errors.iloc[-1]:
        return f"fewer than {cost.iloc[-1]:.0f}"
    return f"{np.exp(np.interp(np.log(error), np.log(errors), np.log(cost))):.0f}"


if __name__ == "__main__":
    main()
