"""Fuzz cases: malformed detector files, with and without recomputed checksums."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hourglass.core.checksums import file_checksums, write_with_checksum
from hourglass.data.columns.column import Column
from hourglass.data.scaling import Encoding, Scaling
from hourglass.data.table_encoding import TableEncoding
from hourglass.detection.attribution import Profile
from hourglass.detection.calibrators import Conformal
from hourglass.detection.calibrators.conformal import p_values
from hourglass.detection.detector import FILES, Detector
from hourglass.detection.scorers import ModelScore
from hourglass.detection.scoring import FittedScorer
from hourglass.networks import Convolutional, Dense, Network
from hourglass.networks.weights import FILES as NETWORK
from hourglass.networks.weights import SETTINGS, write
from tests.robustness.fuzz.case import Case, damage

UNEXPECTED_VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 10**30, 0.5, 1e308, "", "x", "os.system", [], {}, [1], {"a": 1}),
    *([[[[[]]]]], "hourglass.networks.Network", "../..", "nan"),
)
INVALID_LITERALS = (
    *("NaN", "Infinity", "-Infinity", "1e999", "9" * 5000, "[" * 5000),
    *('"\\ud800"', "01", "'a'"),
)


def make_detector(folder: Path, images: bool, network_folder: Path | None = None) -> Detector:
    """Write a calibrated detector with random weights; `network_folder` is that of its network."""
    torch.manual_seed(0)
    rng, shape = np.random.default_rng(0), (1, 6, 5) if images else (3,)
    network: Network
    scaling: Encoding
    if images:
        network = Convolutional(list(shape), 2, channels=[2, 3])
        x = rng.integers(0, 256, (60, *shape)).astype(np.uint8)
        scaling = Scaling.of_images(255)
    else:
        network = Dense([3], 2)
        x = rng.normal(size=(60, 3))  # type: ignore[assignment]
        scaling = TableEncoding.fit([Column(name) for name in "abc"], x, "standard")
        assert scaling.heads is not None
        network.add_heads(scaling.heads)
    network = network.eval().requires_grad_(False)
    scoring = FittedScorer.fit(network, scaling, ModelScore(), x)
    scores = scoring(x)
    inputs = {
        "data": "pictures" if images else "numbers",
        "sample_shape": list(shape),
        "dtype": str(x.dtype),
        "feature_names": [] if images else ["a", "b", "c"],
        "columns": [] if images else [Column(name).to_dict() for name in "abc"],
        "scaling": scaling.to_dict(),
    }
    network_folder = network_folder or folder
    for each in (folder, network_folder):
        each.mkdir(parents=True, exist_ok=True)
    (network_folder / SETTINGS).write_text("{init_args: {}, seed: 0}\n", encoding="utf-8")
    write(network, network_folder, SETTINGS)
    profile, threshold = Profile.fit(network, scaling, x), Conformal(0.05)(scores)
    checksums = file_checksums(network_folder, NETWORK)
    detector = Detector(inputs, scoring, profile, scores, threshold, checksums)
    detector.write(folder)
    return detector


def make_case(rng: random.Random, folder: Path) -> Case:
    """Return a detector with one malformed file."""
    original, copy = Path("detector"), folder / "copy"
    x = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
    if not original.exists():
        make_detector(original, images=False)
    expected = _scores(original, x)
    shutil.copytree(original, copy)
    name = rng.choice(FILES)
    binary = name.endswith(".safetensors")
    mutation = "bytes" if binary else rng.choice(["bytes", "value", "key", "literal"])
    path, consistent = copy / name, rng.random() < 0.7
    if mutation == "bytes":
        path.write_bytes(damage(path.read_bytes(), rng))
    else:
        path.write_text(_malformed(json.loads(path.read_text()), mutation, rng), encoding="utf-8")
    if consistent:
        _update_checksums(copy)
    description = f"{name}, {mutation}{', with new checksums' if consistent else ''}"
    # Changed values with matching checksums make a valid detector with any finite scores.
    if consistent and mutation in ("value", "bytes"):
        return Case(description, lambda: expected if _is_usable(copy, x) else None, expected)
    return Case(description, lambda: _scores(copy, x), expected)


def _malformed(value: Any, mutation: str, rng: random.Random) -> str:
    """Return JSON with a missing key, an unexpected value or an invalid literal."""
    parent, key = value, rng.choice(list(value))
    while isinstance(parent[key], dict | list) and parent[key] and rng.random() < 0.7:
        parent = parent[key]
        key = rng.choice(list(parent)) if isinstance(parent, dict) else rng.randrange(len(parent))
    if mutation == "key":
        del parent[key]
    else:
        parent[key] = rng.choice(UNEXPECTED_VALUES) if mutation == "value" else "PLACEHOLDER"
    return json.dumps(value).replace('"PLACEHOLDER"', rng.choice(INVALID_LITERALS))


def _update_checksums(folder: Path) -> None:
    """Recompute the checksums in those JSON files that can still be parsed."""
    for name, files in (("network.json", FILES[:1]), ("detector.json", (*FILES[:2], *FILES[3:]))):
        try:
            value = json.loads((folder / name).read_text(encoding="utf-8"))
            checksums = value["files"]
            changed = file_checksums(folder, [each for each in files if each in checksums])
            value["files"] = {**checksums, **changed}
            write_with_checksum(folder / name, value)
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
            continue


def _scores(folder: Path, x: np.ndarray) -> np.ndarray:
    """Return the scores, p-values and alarms of samples, (3, N)."""
    detector = Detector.load(folder)
    scores = detector.scoring(x)
    chances = p_values(detector.calibration_scores, scores)
    return np.stack([scores, chances, detector.threshold(scores)])


def _is_usable(folder: Path, x: np.ndarray) -> bool:
    """Return whether a detector gives every sample a finite score and p-value."""
    scores = _scores(folder, x)
    return bool(scores.shape == (3, len(x)) and np.isfinite(scores).all())
