"""Preparation of a data set: from raw files to the arrays of five splits and a data card."""

import hashlib
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hourglass.core.atomic import atomic_folder
from hourglass.core.paths import CONFIGS, prepared_folder, raw_folder
from hourglass.core.progress import step
from hourglass.core.settings import data_config, params
from hourglass.core.yaml_config import Yaml, build
from hourglass.data.base import DataSet, Raw
from hourglass.data.blocks import block_count
from hourglass.data.columns.levels import keep_train_levels
from hourglass.data.copies import copies_note, count_copies, find_copies
from hourglass.data.large_arrays import parts, take_rows
from hourglass.data.lazy_array import LazyArray
from hourglass.data.near_copies import NearCopies, near_copies_note
from hourglass.data.prepared_data import Samples, Split, write_prepared
from hourglass.data.scaling import Encoding, Scaling, TiledScaling
from hourglass.data.series_encoding import SeriesEncoding
from hourglass.data.streaming import release_pages
from hourglass.data.table_encoding import TableEncoding

MAX_FITTED_BYTES = 128 << 20  # of train rows that the encoding of a table is fitted to


def prepare_data_set(
    data: str, check: Callable[[dict[str, Any]], None] = lambda card: None
) -> Path:
    """Write the splits and the data card of a data set; return their folder.

    `check` gets the card before anything is written, and may raise a UserError.
    """
    config = data_config(data)
    section: Yaml = {key: config[key] for key in ("class_path", "init_args") if key in config}
    dataset: DataSet = build(section, DataSet, (CONFIGS / "data" / f"{data}.yaml").as_posix())
    samples, card = split_samples(dataset, raw_folder(), params().seed)
    card = {"data": data, **card}
    for note in (
        *card["source"].get("notes", []),
        copies_note(card),
        near_copies_note(card["copies"]),
    ):
        if note:
            print(f"{data}: {note}", file=sys.stderr)
    check(card)
    folder = prepared_folder(data)
    with step(f"write {folder.as_posix()}"), atomic_folder(folder) as temporary:
        write_prepared(temporary, samples, card)
    return folder


def split_samples(
    dataset: DataSet, folder: Path, seed: int
) -> tuple[dict[Split, Samples], dict[str, Any]]:
    """Load a data set from raw files below `folder`; return its splits and its data card."""
    with step(f"read {type(dataset).__name__}"):
        raw = dataset.load(folder)
    near = None
    if raw.full_scale and "images" in raw.source:  # the user's own, not a known collection
        near = NearCopies(raw.x.shape, raw.full_scale, raw.tiling)
    # Of a series, copies are rows with the same time.
    copies = find_copies(raw.x, None if near is None else near.add)
    indices = dataset.split(raw, seed, copies)
    raw = replace(raw, columns=keep_train_levels(raw.columns, raw.x, indices["train"]))
    scaling: Encoding
    if raw.full_scale:
        scaling = Scaling.of_images(raw.full_scale)
        if raw.tiling:
            scaling = TiledScaling.of(scaling, raw.tiling)
    else:
        scaling = _fit_encoding(dataset, raw, indices["train"])
    fields = [raw.x, raw.label, raw.anomaly, raw.id]
    if raw.mask is not None:
        fields.append(raw.mask)
    samples = {
        name: Samples(*(take_rows(a, rows) for a in fields)) for name, rows in indices.items()
    }
    card = _data_card(raw, scaling, samples) | {
        "copies": {
            **count_copies(copies, raw.anomaly, indices),
            **({} if near is None else near.find(copies, raw.id)),
        }
    }
    return samples, card


def _fit_encoding(dataset: DataSet, raw: Raw, train: np.ndarray) -> TableEncoding:
    """Fit the encoding to the train rows; of a huge table to a sample, but count missing cells."""
    size = MAX_FITTED_BYTES // max(1, raw.x.itemsize * raw.x.shape[1])
    if len(train) <= size:
        return dataset.fit_encoding(raw, np.asarray(take_rows(raw.x, train)))
    sample = train[np.arange(size) * len(train) // size]
    if raw.x.dtype != np.float64:  # vectors, without missing cells
        return dataset.fit_encoding(raw, np.asarray(take_rows(raw.x, sample)))
    missing = np.zeros(len(raw.columns), np.int64)
    for part in parts(raw.x[: len(train)]):
        missing += np.isnan(raw.x[train[part]]).sum(0)
        release_pages(raw.x)
    encoding = dataset.fit_encoding(raw, take_rows(raw.x, sample))
    return encoding.with_missing(encoding.features(missing[None])[0], len(train))


def _data_card(raw: Raw, scaling: Encoding, samples: dict[Split, Samples]) -> dict[str, Any]:
    digest = hashlib.sha256()  # of all arrays; identifies the data
    for part in samples.values():
        for array in part.arrays().values():
            if isinstance(array, LazyArray):  # computing its values would take long
                digest.update(array.identity())
                continue
            for rows in parts(array):
                digest.update(np.ascontiguousarray(array[rows]).data)
                release_pages(array)
    return {
        "source": raw.source,
        "sample_shape": (raw.tiling.pixels(raw.x) if raw.tiling else raw.x).shape[1:],
        "dtype": str(raw.x.dtype),
        "feature_names": list(raw.feature_names),
        "columns": [column.to_dict() for column in raw.columns],
        "scaling": scaling.to_dict(),
        "read": raw.source.get("read", {}),
        **({"images": raw.source["images"]} if "images" in raw.source else {}),
        **({} if raw.mask is None else {"masks": True}),
        **({"vectors": raw.source["vectors"]} if "vectors" in raw.source else {}),
        **({"storage": raw.x.storage()} if isinstance(raw.x, LazyArray) else {}),
        "splits": {
            name: {
                "normal": len(part.x) - int(np.count_nonzero(part.anomaly)),
                "anomalies": int(np.count_nonzero(part.anomaly)),
                "classes": _counts(part.label),
                **_blocks(part, scaling),
            }
            for name, part in samples.items()
        },
        "unused": len(raw.x) - sum(len(part.x) for part in samples.values()),
        "split_by": "time" if raw.time is not None and raw.official_test is None else "chance",
        "sha256": digest.hexdigest(),
    }


def _blocks(part: Samples, scaling: Encoding) -> dict[str, int]:
    """Return the number of blocks of one window, if the samples are rows of a series."""
    if not isinstance(scaling, SeriesEncoding):
        return {}
    return {"blocks": block_count(scaling.windows(part.x))}


def _counts(labels: np.ndarray) -> dict[str, int]:
    """Return the number of samples of each class."""
    counts = Counter[str]()
    for rows in parts(labels):
        names, found = np.unique(labels[rows], return_counts=True)
        counts.update(dict(zip(names.tolist(), found.tolist(), strict=True)))
    return dict(sorted(counts.items()))
