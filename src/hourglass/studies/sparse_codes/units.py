"""Tables of units: how often they are active, their largest decoder weights, their top samples."""

from typing import Any

import numpy as np
import pandas as pd

from hourglass.data.columns.cell_values import cell_frame, level_names
from hourglass.data.prepared_data import Prepared, Samples
from hourglass.data.table_encoding import TableEncoding
from hourglass.networks import is_image
from hourglass.studies.latent_space import evenly_spaced
from hourglass.studies.sparse_codes.metrics import CodeSums
from hourglass.studies.sparse_codes.top_samples import TopSamples

SHOWN_WEIGHTS = 5  # per unit, the largest in absolute value
LISTED_UNITS = 200  # with their top samples


def input_names(prepared: Prepared) -> list[str]:
    """Return a name for each input of a network; [] for images.

    A category has one input per level. The elements of a vector without columns are numbered.
    """
    scaling = prepared.scaling
    if not isinstance(scaling, TableEncoding):
        shape = prepared.input_shape
        return [] if is_image(shape) else [f"dimension {i}" for i in range(int(np.prod(shape)))]
    names: list[str] = []
    for each in scaling.columns:
        column = each.column
        if column.kind == "categorical":
            names += [f"{column.name} = {level}" for level in level_names(column)]
        elif each.width > 1:
            names += [f"{column.name} ({i + 1})" for i in range(each.width)]
        else:
            names.append(column.name)
    return names + [f"{each.column.name} missing" for each in scaling.columns if each.has_indicator]


def chosen_units(sums: CodeSums, count: int) -> np.ndarray:
    """Return at most `count` active units, from the most to the least frequent, evenly spaced."""
    order = np.argsort(-sums.active, kind="stable")
    active = order[: int((sums.active > 0).sum())]
    return active[evenly_spaced(len(active), count)] if len(active) else active


def unit_table(sums: CodeSums, w_dec: np.ndarray, names: list[str]) -> pd.DataFrame:
    """Return a row per unit: frequency, mean code when active, and its largest decoder weights.

    `names` are those of the inputs, or [] to leave the weights out.
    """
    table: dict[str, Any] = {
        "unit": np.arange(len(w_dec)),
        "firing_frequency": sums.frequencies,
        "mean_activation": sums.mean_activations,
        "decoder_norm": np.linalg.norm(w_dec, axis=1),
    }
    if names:
        largest = np.argsort(-np.abs(w_dec), axis=1, kind="stable")[:, :SHOWN_WEIGHTS]
        values = np.take_along_axis(w_dec, largest, 1)
        for i in range(largest.shape[1]):
            table[f"input_{i + 1}"] = np.array(names, object)[largest[:, i]]
            table[f"weight_{i + 1}"] = values[:, i]
    return pd.DataFrame(table)


def top_sample_table(
    units: np.ndarray, top: TopSamples, samples: Samples, prepared: Prepared, w_dec: np.ndarray
) -> pd.DataFrame:
    """Return a row per unit and top sample: id, label and code.

    For tables and vectors, also its values at the inputs with the unit's largest decoder weights.
    """
    found = [top.of_unit(int(unit)) for unit in units]
    unit = np.repeat(units, [len(indices) for indices, _ in found])
    row = np.concatenate([indices for indices, _ in found]) if found else np.zeros(0, int)
    table: dict[str, Any] = {
        "unit": unit,
        "rank": np.concatenate([np.arange(1, len(indices) + 1) for indices, _ in found] or [row]),
        "id": samples.id[row],
        "label": samples.label[row],
        "activation": np.concatenate([activations for _, activations in found] or [row]),
    }
    if not is_image(prepared.input_shape):
        cells, source = _cells(samples.x[row], prepared)
        places = [_columns(w_dec[each], source) for each in unit]
        for i in range(SHOWN_WEIGHTS):
            texts = [
                f"{cells.columns[columns[i]]} = {_text(cells.iat[at, columns[i]])}"
                if i < len(columns)
                else ""
                for at, columns in enumerate(places)
            ]
            table[f"value_{i + 1}"] = texts
    return pd.DataFrame(table)


def _cells(x: np.ndarray, prepared: Prepared) -> tuple[pd.DataFrame, np.ndarray]:
    """Return samples as a frame, and the column of each input of the network."""
    scaling = prepared.scaling
    if isinstance(scaling, TableEncoding):
        return cell_frame(x, prepared.features), scaling.source
    return pd.DataFrame(x.reshape(len(x), -1), columns=input_names(prepared)), np.arange(x[0].size)


def _columns(weights: np.ndarray, source: np.ndarray) -> list[int]:
    """Return the columns of the largest weights of a unit, (F,), the largest first."""
    largest = source[np.argsort(-np.abs(weights), kind="stable")]
    return list(dict.fromkeys(largest.tolist()))[:SHOWN_WEIGHTS]


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)
