"""Preparation of a data set: from raw files to the arrays of five splits and card.json."""

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.core.atomic import atomic_folder
from hourglass.core.paths import CONFIGS, prepared_folder, raw_folder
from hourglass.core.settings import data_config, params
from hourglass.core.yaml_config import Yaml, build
from hourglass.data.base import DataSet, Raw
from hourglass.data.prepared_data import Samples, Split, write_prepared
from hourglass.data.scaling import Scaling
from hourglass.data.splits import split


def prepare_data_set(data: str) -> Path:
    """Write the splits of a data set, and its card, to data/prepared/<data>; return that folder."""
    dataset = _dataset(data)
    raw = dataset.load(raw_folder())
    indices = split(raw, dataset.fractions, params().seed)
    scaling = (
        Scaling.of_images(raw.full_scale)
        if raw.full_scale
        else Scaling.fit(dataset.scaling, raw.x[indices["train"]])
    )
    samples = {
        name: Samples(raw.x[rows], raw.label[rows], raw.anomaly[rows], raw.id[rows])
        for name, rows in indices.items()
    }
    folder = prepared_folder(data)
    with atomic_folder(folder) as temporary:
        write_prepared(temporary, samples, _card(data, raw, scaling, samples))
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
    """Return one SHA-256 over all arrays, which identifies the data."""
    digest = hashlib.sha256()
    for part in samples.values():
        for array in vars(part).values():
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
