"""The metadata file of a detector, detector.json; reading it does not import torch."""

from pathlib import Path
from typing import Any

from hourglass.core.checksums import read_with_checksum, verify_checksums
from hourglass.detection.threshold import Threshold

METADATA, REFERENCE, THRESHOLD = "detector.json", "reference.safetensors", "threshold.json"


def read_metadata(folder: Path) -> tuple[dict[str, Any], Threshold]:
    """Return the content of detector.json and the threshold, after verifying their checksums.

    Raises one of CORRUPT_FILE_ERRORS if either file is missing or was changed after it was written.
    """
    metadata = read_with_checksum(folder / METADATA)
    verify_checksums(folder, {THRESHOLD: metadata["files"][THRESHOLD]})
    return metadata, Threshold.read(folder / THRESHOLD)
