"""Seal prepared data and cells that were written before there were seals, as they are now.

    python scripts/seal.py WORKSPACE

Whether they are as they were written nobody can say any more: `dvc repro` makes them anew instead.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from hourglass.core.checksums import file_checksums, write_with_checksum
from hourglass.data.prepared import CARD as DATA_CARD
from hourglass.data.prepared import write_data_card
from hourglass.detection.metadata import METADATA, REFERENCE, THRESHOLD
from hourglass.networks.weights import FILES, SETTINGS, SPEC, WEIGHTS


def main() -> None:
    """Seal every prepared data set and every cell of a workspace."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    workspace = parser.parse_args().workspace
    for card in sorted(workspace.glob(f"data/prepared/*/{DATA_CARD}")):
        write_data_card(card.parent, _read(card))
    for spec in sorted(workspace.glob(f"runs/*/*/{SPEC}")):
        seal(spec.parent)


def seal(cell: Path) -> None:
    """Seal a cell's network and, where it was calibrated, its detector and thresholds."""
    write_with_checksum(
        cell / SPEC, {**_read(cell / SPEC), "files": file_checksums(cell, [WEIGHTS, SETTINGS])}
    )
    if (cell / METADATA).exists():
        old = {key: value for key, value in _read(cell / METADATA).items() if key != "weights"}
        files = file_checksums(cell, [*FILES, REFERENCE, THRESHOLD])
        write_with_checksum(
            cell / "calibrate/thresholds.json", _read(cell / "calibrate/thresholds.json")
        )
        write_with_checksum(cell / METADATA, {**old, "files": files})


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    main()
