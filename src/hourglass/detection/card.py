"""The card of a detector, detector.json, which speaks for all of its files; needs no torch."""

from pathlib import Path
from typing import Any

from hourglass.detection.threshold import Threshold
from hourglass.seals import check, read_sealed

CARD, REFERENCE, THRESHOLD = "detector.json", "reference.safetensors", "threshold.json"


def read_card(folder: Path) -> tuple[dict[str, Any], Threshold]:
    """Return what detector.json says, and the threshold that it speaks for.

    Raises one of UNUSABLE where either is missing or not as it was written.
    """
    card = read_sealed(folder / CARD)
    check(folder, {THRESHOLD: card["files"][THRESHOLD]})
    return card, Threshold.read(folder / THRESHOLD)
