"""Command `activations`: the outputs of a layer for a data set -> files of vectors."""

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from hourglass.cli.name_lists import format_names
from hourglass.core.atomic import atomic_folder, write_json
from hourglass.core.errors import UserError
from hourglass.core.paths import MAX_NAME_LENGTH, Cell, prepared_folder
from hourglass.core.suggestions import counted
from hourglass.data.prepared_data import SPLITS, Prepared, Split

if TYPE_CHECKING:
    from torch import nn

Positions: TypeAlias = Literal["mean", "all"]
OWN = Path("data/own")
ORIGIN = "activations.json"  # in the folder: the data, the network and the layer


def activations(
    data: str,
    model: str,
    layer: str = "",
    split: Split | None = None,
    positions: Positions = "mean",
    weights: Path | None = None,
    size: int | None = None,
    dtype: Literal["float32", "float16"] = "float32",
    batch_size: int = 256,
    output: Path | None = None,
) -> Path:
    """Write the outputs of a layer for the samples of a data set, as files of vectors.

    The network is that of a trained cell, or a network of torchvision or timm with weights from a
    local file, for data sets of images. `hourglass add` makes the folder a data set, for example to
    train sparse autoencoders on it; the command for that is printed.

    The folder holds activations-00000.safetensors and so on with the arrays `activations`, (n, D),
    `label` and `index`, the number of the sample in samples.csv, which has a row per sample: index,
    split, id, label, anomaly. It is complete, or not there.

    Args:
        data: a prepared data set, by the name of its file in configs/data
        model: a variant with a trained cell, by the name of its file in configs/model; or a network
            such as torchvision:resnet18, timm:vit_small_patch16_224 or efficientnet_lite0
        layer: the name of the layer, as of named_modules(); without it, all names are shown
        split: the split of the samples; all five if omitted
        positions: of feature maps, (N, C, H, W), and tokens, (N, T, D): their `mean`, one vector
            per sample, or `all` of them, one vector per position or token
        weights: the file with the weights of a network of torchvision or timm, as safetensors or as
            saved by torch; efficientnet_lite0 has those of its package
        size: the side in pixels to which images are resized for a network of torchvision or timm;
            their own size if omitted
        dtype: the type of the values; float16 takes half of the disk
        batch_size: the number of samples per forward pass
        output: the folder to write; data/own/<data>-<model>-<layer> if omitted

    Examples:
        hourglass activations digits denoising --layer encoder.1
        hourglass activations mnist torchvision:resnet18 --layer layer3 --weights resnet18.pth

    """
    if batch_size < 1:
        raise UserError(f"batch_size is {batch_size}, but must be at least 1.")
    prepared = Prepared.open(prepared_folder(data))
    network = _network(prepared, data, model, weights, size)
    from hourglass.data.vector_writer import ShardWriter
    from hourglass.networks.layer_outputs import LayerOutputs

    outputs = LayerOutputs(network, layer)
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", f"{data}-{model.rpartition(':')[2]}-{layer}")
    folder = output or OWN / name[:MAX_NAME_LENGTH]
    if folder.exists() and not (folder / ORIGIN).is_file():
        raise UserError(
            f"{folder} exists and holds no activations; name another folder with --output."
        )
    chosen: Sequence[Split] = SPLITS if split is None else [split]
    classes = sorted(
        {each for part in prepared.card["splits"].values() for each in part["classes"]}
    )
    origin = {"data": data, "data_sha256": prepared.card["sha256"], "model": model, "layer": layer}
    with atomic_folder(folder) as temporary:
        writer = ShardWriter(temporary, classes, origin)
        for vectors, label, index in _vectors(
            prepared, outputs, chosen, positions, dtype, batch_size, classes
        ):
            writer.add(vectors, label, index)
        writer.flush()
        normal, anomalous = _write_samples(temporary / "samples.csv", prepared, chosen)
        write_json(temporary / ORIGIN, {**origin, "splits": list(chosen), "positions": positions})
    files = counted(writer.files, "file")
    print(f"{counted(writer.count, 'vector')} in {files} of {folder.as_posix()}")
    options = f" --label label --normal {shlex.quote(format_names(normal))}" * bool(anomalous)
    print(f"next: hourglass add {name[:MAX_NAME_LENGTH]} {shlex.quote(folder.as_posix())}{options}")
    return folder


def _network(
    prepared: Prepared, data: str, model: str, weights: Path | None, size: int | None
) -> "nn.Module":
    """Return the network of a cell, or one of torchvision or timm; check that it takes the data."""
    from hourglass.data.scaling import TiledScaling
    from hourglass.data.series_encoding import SeriesEncoding
    from hourglass.networks.backbones import LITE0, load_image_model

    if isinstance(prepared.scaling, SeriesEncoding | TiledScaling):
        raise UserError(
            f"{data} is a time series or in tiles, whose networks see parts of samples; name "
            "another data set."
        )
    if ":" not in model and model != LITE0:
        if weights is not None or size is not None:
            raise UserError(
                f"{model!r} is a trained cell, which has its weights and its size; omit --weights "
                "and --size, or name a network such as torchvision:resnet18."
            )
        from hourglass.networks.weights import load

        cell = Cell(data, model)
        cell.require("train")
        return load(cell.output("train"))
    shape = prepared.sample_shape
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise UserError(
            f"the samples of {data} have the shape {shape}, but {model} takes images with one or "
            "three channels; name another data set."
        )
    if size is not None and size < 1:
        raise UserError(f"size is {size}, but must be at least 1 pixel.")
    return load_image_model(model, None if weights is None else str(weights), size)


def _vectors(
    prepared: Prepared,
    outputs: "nn.Module",
    splits: Sequence[Split],
    positions: Positions,
    dtype: str,
    batch_size: int,
    classes: Sequence[str],
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield vectors, (n, D), their labels and the numbers of their samples, (n,), by batch."""
    import torch

    from hourglass.core.progress_bar import ProgressBar
    from hourglass.data.batches import Scaled
    from hourglass.detection.inference import best_device
    from hourglass.networks.layer_outputs import vectors

    device = best_device()
    scaled, first = Scaled(prepared.scaling, device), 0
    outputs.to(device).eval()
    total = sum(len(prepared.x(name)) for name in splits)
    with ProgressBar(total=total, desc="activations", unit=" samples", unit_scale=True) as bar:
        for name in splits:
            samples = prepared.split(name)
            places = np.searchsorted(classes, samples.label).astype(np.int64)
            for start in range(0, len(samples.x), batch_size):
                part = slice(start, start + batch_size)
                inputs = torch.from_numpy(np.array(samples.x[part])).to(device)
                with torch.inference_mode():
                    found = vectors(outputs(scaled(inputs)), positions).float().cpu().numpy()
                with np.errstate(over="ignore"):
                    values = found.astype(dtype)
                if not np.isfinite(values).all():
                    raise UserError(
                        f"an output of the layer for sample {samples.id[start]} or one after it "
                        f"is not finite as {dtype}; check the weights, or use float32."
                    )
                count = len(places[part])
                repeats = len(values) // count
                numbers = np.arange(first + start, first + start + count)
                yield values, places[part].repeat(repeats), numbers.repeat(repeats)
                bar.update(count)
            first += len(samples.x)


def _write_samples(
    path: Path, prepared: Prepared, splits: Sequence[Split]
) -> tuple[list[str], bool]:
    """Write the table of samples; return the labels of normal ones, and if there are anomalies."""
    import pandas as pd

    from hourglass.core.csv_formulas import write_csv

    frames = []
    for name in splits:
        part = prepared.split(name)
        columns = {"split": name, "id": part.id, "label": part.label, "anomaly": part.anomaly}
        frames.append(pd.DataFrame(columns))
    table = pd.concat(frames, ignore_index=True)
    write_csv(table.rename_axis("index").reset_index(), path)
    normal = sorted(set(table.label[~table.anomaly]))
    return normal, bool(table.anomaly.any())
