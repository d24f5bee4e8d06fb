"""The card of a detector, detector.json, which speaks for all of its files; needs no torch."""

from pathlib import Path
from typing import Any

from hourglass.core.checksums import read_with_checksum, verify_checksums
from hourglass.detection.threshold import Threshold

CARD, REFERENCE, THRESHOLD = "detector.json", "reference.safetensors", "threshold.json"


def read_card(folder: Path) -> tuple[dict[str, Any], Threshold]:
    """Return what detector.json says, and the threshold that it speaks for.

    Raises one of CORRUPT_FILE_ERRORS where either is missing or not as it was written.
    """
    card = read_with_checksum(folder / CARD)
    verify_checksums(folder, {THRESHOLD: card["files"][THRESHOLD]})
    return card, Threshold.read(folder / THRESHOLD)
