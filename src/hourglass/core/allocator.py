"""How freed memory comes back: from this process, not page by page from the system."""

import ctypes
import sys
from functools import cache

# Of mallopt(3), in <malloc.h>.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT = 2**30  # bytes of freed memory at the end of the heap that are kept
MAPPED = 2**25  # bytes from which a block is mapped on its own; glibc takes no more


@cache
def keep_freed_memory() -> bool:
    """Have the C library keep what a batch freed for the next one; return whether it does.

    Layers take some megabytes for each batch and free them. By default glibc hands blocks of that
    size back, and each of their pages is a fault and is zeroed when the next batch touches it: on
    two cores that took more time than the convolutions. Elsewhere nothing is changed.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is None:
        return False
    return bool(mallopt(M_TRIM_THRESHOLD, KEPT)) and bool(mallopt(M_MMAP_THRESHOLD, MAPPED))
