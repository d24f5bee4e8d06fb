"""Inject faults into pipelines, disks, servers and files; see tests/robustness/chaos.py."""

import sys
from pathlib import Path

sys.path.insert(1, str(Path(__file__).parents[1]))

from tests.robustness.chaos import main

if __name__ == "__main__":
    main()
