"""Configure glibc to reuse freed memory instead of returning it to the system."""

import ctypes
import sys
from functools import cache

# Parameters of mallopt(3), from <malloc.h>.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
TRIM_THRESHOLD_BYTES = 2**30  # freed memory kept at the end of the heap
MMAP_THRESHOLD_BYTES = 2**25  # larger blocks are mapped separately; glibc's maximum


@cache
def keep_freed_memory() -> bool:
    """Make the C library keep freed memory for the next batch; return whether that worked.

    Layers allocate and free several megabytes per batch. By default glibc returns blocks of that
    size to the system, so every page is faulted in and zeroed again for the next batch. On two
    cores that took more time than the convolutions. Returns False on systems without glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is None:
        return False
    kept = mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES)
    return bool(kept) and bool(mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES))
