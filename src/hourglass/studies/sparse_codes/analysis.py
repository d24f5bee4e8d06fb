"""Analysis `sparse_codes`: metrics of sparse codes, probing, and the samples of each unit."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from hourglass.data.prepared_data import Prepared, Samples
from hourglass.evaluation.figures.sparse_codes import firing_frequencies
from hourglass.networks import is_image
from hourglass.networks.sparse import SparseDictionary
from hourglass.studies.results import StudyResult
from hourglass.studies.search.contact_sheet import SheetRow, draw_sheet
from hourglass.studies.sparse_codes.code_blocks import CodeReader
from hourglass.studies.sparse_codes.labelled_codes import LabelledCodes, class_metrics, class_table
from hourglass.studies.sparse_codes.metrics import DENSE_FREQUENCY, CodeSums
from hourglass.studies.sparse_codes.top_samples import TopSamples
from hourglass.studies.sparse_codes.units import (
    LISTED_UNITS,
    chosen_units,
    input_names,
    top_sample_table,
    unit_table,
)

TOP_SAMPLES = 10  # per unit
UNITS_PER_SHEET, MAX_SHEETS = 20, 5
SHOWN_UNITS, SHOWN_SAMPLES = 8, 5  # on the sheet of the page, legible on a phone


def analyse_sparse_codes(prepared: Prepared, network: SparseDictionary, seed: int) -> StudyResult:
    """Measure the sparse codes of the normal test samples, block by block.

    Labels are not needed. With at least two classes of normal samples, sparse probing and feature
    absorption are measured as well. For images, contact sheets show the samples that activate a
    unit most; for tables and vectors, tables list them with the values that the unit writes.
    """
    test = prepared.split("test")
    sums, top = measure_codes(prepared, network, test)
    w_dec, b_dec = (each.detach().cpu().numpy() for each in (network.W_dec, network.b_dec))
    tables = {
        "units": unit_table(sums, w_dec, input_names(prepared)),
        "unit_samples": top_sample_table(
            chosen_units(sums, LISTED_UNITS), top, test, prepared, w_dec
        ),
    }
    figure = firing_frequencies(sums.frequencies, sums.samples, DENSE_FREQUENCY)
    figures, metrics = {"firing_frequencies": figure}, sums.metrics()
    if is_image(prepared.input_shape):
        figures |= unit_sheets(prepared, test, sums, top, w_dec)
    train = prepared.split("train")
    if len(np.unique(train.label)) > 1:
        first, second = (
            LabelledCodes.read(prepared, network, each, seed) for each in (train, test)
        )
        classes = class_table(first, second, w_dec, b_dec)
        if len(classes):
            tables["unit_classes"] = classes
            metrics |= class_metrics(classes)
    return StudyResult(metrics, tables, figures)


def measure_codes(
    prepared: Prepared, network: SparseDictionary, samples: Samples
) -> tuple[CodeSums, TopSamples]:
    """Return the sums over the normal samples of a split, and the top samples of each unit."""
    normal = np.flatnonzero(~samples.anomaly)
    reader = CodeReader(network, samples.x, normal, prepared.scaling)
    top, sums, mean = TopSamples.none(TOP_SAMPLES, network.latent_dim), None, reader.mean()
    for block in reader.blocks():
        top = top.with_block(block.rows, block.z)
        each = CodeSums.of(block.x, block.reconstruction, block.z, mean)
        sums = sums + each if sums else each
    assert sums
    return sums, top


def unit_sheets(
    prepared: Prepared, samples: Samples, sums: CodeSums, top: TopSamples, w_dec: np.ndarray
) -> dict[str, Figure]:
    """Return contact sheets of units: the decoder row, then the samples that activate it most.

    `units` has 8 units from the most to the least frequent one with 5 samples each, for the page;
    `units_01` and later ones have up to 100 units with 10 samples each, 20 units per sheet.
    """
    shown = {"units": chosen_units(sums, SHOWN_UNITS)}
    first = TopSamples(top.rows[:SHOWN_SAMPLES], top.activations[:SHOWN_SAMPLES])
    listed = chosen_units(sums, UNITS_PER_SHEET * MAX_SHEETS)
    for number, start in enumerate(range(0, len(listed), UNITS_PER_SHEET), 1):
        shown[f"units_{number:02}"] = listed[start : start + UNITS_PER_SHEET]
    title = "decoder weights of a unit, and the samples that activate it most"
    figures = {}
    for name, units in shown.items():
        if len(units):
            shown_top = first if name == "units" else top
            rows = _sheet_rows(prepared, samples, sums, shown_top, w_dec, units)
            figures[name] = draw_sheet(rows, title)
    return figures


def _sheet_rows(
    prepared: Prepared,
    samples: Samples,
    sums: CodeSums,
    top: TopSamples,
    w_dec: np.ndarray,
    units: Sequence[int] | np.ndarray,
) -> list[SheetRow]:
    rows = []
    for unit in units:
        indices, activations = top.of_unit(int(unit))
        weights = w_dec[unit].reshape(prepared.input_shape)
        rows.append(
            SheetRow(
                f"{unit}: {sums.frequencies[unit]:.2%}",
                0.5 + 0.5 * weights / max(float(np.abs(weights).max()), 1e-12),
                prepared.scaling(samples.x[indices]),
                samples.label[indices].tolist(),
                activations,
                np.zeros(len(indices), bool),
            )
        )
    return rows
