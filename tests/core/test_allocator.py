"""Memory that a batch freed is there for the next one."""

import platform
import subprocess
import sys

import pytest

# Prints how many bytes a process still has of the 160 MiB, in blocks of 8, that it took and freed.
PROGRAM = """
import numpy as np
from common import resident_bytes
from hourglass.allocator import keep_freed_memory
{call}
before = resident_bytes("VmRSS")
blocks = [np.ones(2**20) for _ in range(20)]
del blocks
print(resident_bytes("VmRSS") - before)
"""


def kept(call: str) -> int:
    command = [sys.executable, "-c", "import sys; sys.path[:0] = ['src', 'scripts']\n" + PROGRAM]
    command[-1] = command[-1].format(call=call)
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_blocks_of_a_batch_are_kept_for_the_next() -> None:
    assert kept("") < 2**25 < 2**27 < kept("assert keep_freed_memory()")
