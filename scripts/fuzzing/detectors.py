"""The files of a detector, changed by those who know how they are sealed, or do not."""

import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fuzzing.cases import Case, damaged
from hourglass.core.checksums import file_checksums, read_with_checksum, write_with_checksum
from hourglass.data.scaling import Scaling
from hourglass.detection.attribution import Profile
from hourglass.detection.calibrators import Conformal
from hourglass.detection.detector import FILES, Detector
from hourglass.detection.scorers import ModelScore
from hourglass.detection.scoring import FittedScorer
from hourglass.networks import Convolutional, Dense, Network
from hourglass.networks.weights import FILES as NETWORK
from hourglass.networks.weights import write

STRANGE: tuple[Any, ...] = (
    *(None, True, -1, 0, 10**30, 0.5, 1e308, "", "x", "os.system", [], {}, [1], {"a": 1}),
    *([[[[[]]]]], "hourglass.networks.Network", "../..", "nan"),
)
LITERALS = (
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "9" * 5000,
    "[" * 5000,
    '"\\ud800"',
    "01",
    "'a'",
)


def detector(folder: Path, images: bool, seed: int = 0) -> Detector:
    """Write a detector whose network has random weights, with a real calibration, and return it."""
    torch.manual_seed(seed)
    rng, shape = np.random.default_rng(seed), (1, 6, 5) if images else (3,)
    network: Network = Convolutional(list(shape), 2, channels=[2, 3]) if images else Dense([3], 2)
    network = network.eval().requires_grad_(False)
    x = (
        rng.integers(0, 256, (60, *shape)).astype(np.uint8)
        if images
        else rng.normal(size=(60, 3)).astype("f4")
    )
    scaling = Scaling.of_images(255) if images else Scaling.fit("standard", x)
    scoring = FittedScorer.fit(network, scaling, ModelScore(), x)
    scores = scoring(x)
    inputs = {
        "data": "pictures" if images else "numbers",
        "sample_shape": list(shape),
        "dtype": str(x.dtype),
        "feature_names": [] if images else ["a", "b", "c"],
        "scaling": scaling.to_dict(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    write(network, folder)
    profile, threshold = Profile.fit(network, scaling, x), Conformal(0.05)(scores)
    found = Detector(inputs, scoring, profile, scores, threshold, file_checksums(folder, NETWORK))
    found.write(folder)
    return found


def case(rng: random.Random, folder: Path) -> Case:
    """Return a detector with one malformed file."""
    whole, copy = folder / "detector", folder / "copy"
    x = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
    if not whole.exists():
        detector(whole, images=False)
    right = _judgement(whole, x)
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(whole, copy)
    name = rng.choice(FILES)
    what = (
        "bytes"
        if name.endswith(".safetensors")
        else rng.choice(["bytes", "value", "key", "literal"])
    )
    path, sealed = copy / name, rng.random() < 0.7
    if what == "bytes":
        path.write_bytes(damaged(path.read_bytes(), rng))
    else:
        path.write_text(_malformed(json.loads(path.read_text()), what, rng), encoding="utf-8")
    if sealed:
        _seal(copy, name)
    case_of = f"{name}, {what}{', sealed' if sealed else ''}"
    # Where values were changed and sealed again, it is another detector, and may say what it will.
    free = sealed and what in ("value", "bytes")
    ask = lambda: _judgement(copy, x)  # noqa: E731
    return Case(case_of, (lambda: right if _judges(copy, x) else None) if free else ask, right)


def _malformed(value: Any, what: str, rng: random.Random) -> str:
    """Return JSON with a key less, a strange value, or a literal that is none."""
    where, key = value, rng.choice(list(value))
    while isinstance(where[key], dict | list) and where[key] and rng.random() < 0.7:
        where = where[key]
        key = rng.choice(list(where)) if isinstance(where, dict) else rng.randrange(len(where))
    if what == "key":
        del where[key]
        return json.dumps(value)
    if what == "value":
        where[key] = rng.choice(STRANGE)
        return json.dumps(value)
    where[key] = "PLACE"
    return json.dumps(value).replace('"PLACE"', rng.choice(LITERALS))


def _seal(folder: Path, name: str) -> None:
    """Have the sealed files speak for what is there, as far as they still are JSON."""
    for card, files in (("network.json", FILES[:1]), ("detector.json", (*FILES[:2], *FILES[3:]))):
        try:
            value = json.loads((folder / card).read_text(encoding="utf-8"))
            said = (
                value.get("files") if card == name else read_with_checksum(folder / card)["files"]
            )
            changed = file_checksums(folder, [each for each in files if each in said])
            value["files"] = {**said, **changed}
            write_with_checksum(folder / card, value)
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
            continue


def _judgement(folder: Path, x: np.ndarray) -> np.ndarray:
    """Return scores, p-values and alarms of samples, one below the other."""
    one = Detector.load(folder)
    scores = one.scoring(x)
    return np.stack([scores, one.p_values(scores), one.threshold(scores)])


def _judges(folder: Path, x: np.ndarray) -> bool:
    """Return whether a detector gives every sample a score and a p-value that are some."""
    found = _judgement(folder, x)
    return bool(found.shape == (3, len(x)) and np.isfinite(found).all())
