"""Stage `prepare`: raw files -> packed arrays of five splits, and card.json."""

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.configuration import Yaml, build
from hourglass.data import packed
from hourglass.data.base import DataSet, Raw
from hourglass.data.packed import Samples, Split
from hourglass.data.scaling import Scaling
from hourglass.data.splits import split
from hourglass.files import whole_folder
from hourglass.settings import data_config, params
from hourglass.workspace import CONFIGS, prepared_folder, raw_folder


def prepare(data: str) -> Path:
    """Turn a data set's raw files into arrays.

    Writes data/prepared/<data>/: x, label, anomaly and id of each split as .npy, and card.json.

    Args:
        data: a data set, by the name of its file in configs/data

    """
    dataset = _dataset(data)
    raw = dataset.load(raw_folder())
    indices = split(raw, dataset.fractions, params().seed)
    scaling = (
        Scaling.of_images(raw.full_scale)
        if raw.full_scale
        else Scaling.fit(dataset.scaling, raw.x[indices["train"]])
    )
    samples = {
        name: Samples(raw.x[chosen], raw.label[chosen], raw.anomaly[chosen], raw.id[chosen])
        for name, chosen in indices.items()
    }
    folder = prepared_folder(data)
    with whole_folder(folder) as temporary:
        packed.write(temporary, samples, _card(data, raw, scaling, samples))
    return folder


def _dataset(data: str) -> DataSet:
    config = data_config(data)
    section: Yaml = {key: config[key] for key in ("class_path", "init_args") if key in config}
    return build(section, DataSet, (CONFIGS / "data" / f"{data}.yaml").as_posix())


def _card(data: str, raw: Raw, scaling: Scaling, samples: dict[Split, Samples]) -> dict[str, Any]:
    used = sum(len(part.x) for part in samples.values())
    return {
        "data": data,
        "source": raw.source,
        "sample_shape": raw.sample_shape,
        "dtype": str(raw.x.dtype),
        "feature_names": list(raw.feature_names),
        "scaling": scaling.to_dict(),
        "splits": {name: _counts(part) for name, part in samples.items()},
        "unused": len(raw.x) - used,
        "split_by": "time" if raw.time is not None and raw.official_test is None else "chance",
        "sha256": _digest(samples),
    }


def _counts(part: Samples) -> dict[str, Any]:
    return {
        "normal": int((~part.anomaly).sum()),
        "anomalies": int(part.anomaly.sum()),
        "classes": dict(sorted(Counter(part.label.tolist()).items())),
    }


def _digest(samples: dict[Split, Samples]) -> str:
    """Return one SHA-256 over all arrays: the identity of the data that a model saw."""
    digest = hashlib.sha256()
    for part in samples.values():
        for array in vars(part).values():
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
