"""How much memory this process takes; Linux says."""

from pathlib import Path
from typing import Literal


def resident(field: Literal["VmRSS", "VmHWM"]) -> int:
    """Return the resident memory now, VmRSS, or at its peak, VmHWM, in bytes.

    getrusage would count the parent's peak as well.
    """
    status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    (line,) = (line for line in status if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024
