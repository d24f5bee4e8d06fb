"""Configure glibc to reuse freed memory instead of returning it to the system."""

import ctypes
import sys
from functools import cache

# Parameters of mallopt(3), from <malloc.h>.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
TRIM_THRESHOLD_BYTES = 2**30  # freed memory that stays at the end of the heap
MMAP_THRESHOLD_BYTES = 2**25  # larger blocks are mapped one by one; glibc allows no higher value


@cache
def keep_freed_memory() -> bool:
    """Make the C library keep freed memory for the next batch; return whether that worked.

    Layers allocate and free some megabytes per batch. By default glibc returns blocks of that size
    to the system, so the next batch faults in and zeroes every page again: on two cores that took
    more time than the convolutions. Other systems are left as they are.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is None:
        return False
    kept = mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES)
    return bool(kept) and bool(mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES))
