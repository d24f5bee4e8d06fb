"""What sealed files say of themselves and of the files beside them, also where DVC has no say."""

from pathlib import Path

from hourglass.core.checksums import CORRUPT_FILE_ERRORS, read_with_checksum, verify_checksums
from hourglass.core.errors import one_line
from hourglass.data.prepared import CARD as DATA
from hourglass.detection.metadata import METADATA as DETECTOR

NETWORK, THRESHOLDS = "network.json", "thresholds.json"


def cards() -> list[Path]:
    """Return the sealed files of all prepared data sets and cells."""
    patterns = [f"data/prepared/*/{DATA}"]
    patterns += [f"runs/*/*/{name}" for name in (NETWORK, DETECTOR, THRESHOLDS)]
    return [path for pattern in patterns for path in sorted(Path().glob(pattern))]


def damage(card: Path) -> dict[Path, str]:
    """Return a sentence for a sealed file that is damaged, or for those that it speaks for."""
    try:
        files = read_with_checksum(card).get("files", {})
    except CORRUPT_FILE_ERRORS as error:
        return {card: _sentence(card, card, error)}
    found = {}
    for name, digest in files.items():
        try:
            verify_checksums(card.parent, {name: digest})
        except CORRUPT_FILE_ERRORS as error:
            found[card.parent / name] = _sentence(card, card.parent / name, error)
    return found


def _sentence(card: Path, path: Path, error: BaseException) -> str:
    folder, reason = card.parent, one_line(error)
    again = {
        DATA: f"hourglass prepare {folder.name}",
        NETWORK: f"hourglass train {folder.parent.name} {folder.name}",
    }.get(card.name, f"hourglass calibrate-threshold {folder.parent.name} {folder.name}")
    return f"{path.as_posix()} cannot be used ({reason}); make it again by `{again}`."
