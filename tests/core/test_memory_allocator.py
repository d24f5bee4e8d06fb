"""The process keeps memory that a batch freed for the next one."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

# Prints the resident bytes that remain of 160 MiB, allocated in blocks of 8 MiB and freed.
PROGRAM = """
import numpy as np
from common import resident_bytes
from hourglass.core.memory_allocator import keep_freed_memory
{call}
before = resident_bytes("VmRSS")
blocks = [np.ones(2**20) for _ in range(20)]
del blocks
print(resident_bytes("VmRSS") - before)
"""


def kept(call: str) -> int:
    command = [sys.executable, "-c", "import sys; sys.path[:0] = ['src', 'scripts']\n" + PROGRAM]
    command[-1] = command[-1].format(call=call)
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_freed_blocks_stay_with_the_process() -> None:
    assert kept("") < 2**25 < 2**27 < kept("assert keep_freed_memory()")
