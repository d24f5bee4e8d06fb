"""Stage `prepare`: raw files -> arrays of five splits, and their summary in card.json."""

from pathlib import Path

from hourglass.core.paths import valid_name
from hourglass.data.prepare import prepare_data_set
from hourglass.stages.output import stage_lock


def prepare(data: str) -> Path:
    """Split the raw files of a data set and write the splits as arrays.

    Writes to data/prepared/<data>/: x, label, anomaly and id of each split as .npy, and card.json,
    with the scaling of x and the number of samples.

    Examples:
        hourglass prepare digits

    """
    with stage_lock("prepare", valid_name(data)):
        return prepare_data_set(data)
