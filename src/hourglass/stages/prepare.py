"""Stage `prepare`: raw files -> arrays of five splits, and their summary in card.json."""

import os
import sys
from pathlib import Path
from typing import Any

from hourglass.core.errors import UserError, printable
from hourglass.core.paths import valid_name
from hourglass.core.settings import params
from hourglass.core.suggestions import counted
from hourglass.data.columns.overview import column_lines
from hourglass.data.prepare import prepare_data_set
from hourglass.detection.calibrators.from_settings import (
    check_calibration_samples,
    make_calibrator,
)
from hourglass.detection.pixel_settings import read_pixel_settings
from hourglass.stages.output import stage_lock


def prepare(data: str) -> Path:
    """Split the raw files of a data set and write the splits as arrays.

    Prints the columns of a table: the kind of each, and what becomes of it. Writes to
    data/prepared/<data>/: x, label, anomaly and id of each split as .npy, and card.json,
    with the scaling of x and the number of samples. In a pipeline, it refuses a data set with too
    few samples for `calibration` in params.yaml, so that nothing is trained in vain.

    Examples:
        hourglass prepare digits

    """
    with stage_lock("prepare", valid_name(data)):
        return prepare_data_set(data, _check)


def _check(card: dict[str, Any]) -> None:
    """Print the columns of a table; raise a UserError for too few calibration samples.

    That is an error under DVC only, where `calibrate-threshold` follows; otherwise it is printed.
    """
    if columns := card["source"].get("columns"):
        form = card["source"]["format"]["detected"]
        print(printable(f"{card['data']}: {counted(card['source']['rows'], 'row')} ({form})"))
        print("\n".join(map(printable, column_lines(columns))))
        if left_out := card["source"]["left_out_rows"]:
            print(f"left out: {counted(left_out, 'row')} without a label or with a missing cell")
    read_pixel_settings(params().pixel_threshold)  # checks them
    try:
        note = check_calibration_samples(card, make_calibrator(params().calibration))
    except UserError as error:
        if "DVC_STAGE" in os.environ:
            raise
        note = str(error)
    if note:
        print(f"hourglass: {note}", file=sys.stderr)
