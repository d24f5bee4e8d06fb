"""Seal prepared data and cells that were written before there were seals, as they are now.

    python scripts/seal.py WORKSPACE

Whether they are as they were written nobody can say any more: `dvc repro` makes them anew instead.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from hourglass.data import packed
from hourglass.detection.card import CARD, REFERENCE, THRESHOLD
from hourglass.seals import digests, write_sealed
from hourglass.weights import FILES, SETTINGS, SPEC, WEIGHTS


def main() -> None:
    """Seal every prepared data set and every cell of a workspace."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    workspace = parser.parse_args().workspace
    for card in sorted(workspace.glob(f"data/prepared/*/{packed.CARD}")):
        packed.seal(card.parent, _read(card))
    for spec in sorted(workspace.glob(f"runs/*/*/{SPEC}")):
        seal(spec.parent)


def seal(cell: Path) -> None:
    """Seal a cell's network and, where it was calibrated, its detector and thresholds."""
    write_sealed(cell / SPEC, {**_read(cell / SPEC), "files": digests(cell, [WEIGHTS, SETTINGS])})
    if (cell / CARD).exists():
        old = {key: value for key, value in _read(cell / CARD).items() if key != "weights"}
        files = digests(cell, [*FILES, REFERENCE, THRESHOLD])
        write_sealed(cell / "thresholds.json", _read(cell / "thresholds.json"))
        write_sealed(cell / CARD, {**old, "files": files})


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    main()
