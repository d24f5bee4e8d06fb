"""CPU settings for training: threads, freed memory and the check for a GPU.

Measured on two cores: with freed memory kept, a bare loop of convolutions trains 15,940 samples per
second and 7,628 without (docs/benchmark.md). Set HOURGLASS_CPU_TUNING to "off" to disable this
file.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from hourglass.core.allocator import keep_freed_memory

SWITCH = "HOURGLASS_CPU_TUNING"
# ATen computes elementwise operations below this size in one thread too (at::internal::GRAIN_SIZE).
MIN_ELEMENTS_FOR_THREADS = 32_768


@contextmanager
def tuned_to(device: torch.device, elements: int) -> Iterator[None]:
    """Apply the settings that suit training on a device with `elements` per batch."""
    if os.environ.get(SWITCH) == "off":
        yield
        return
    if device.type == "cpu":
        keep_freed_memory()
        # Adam checks for a GPU at each step; Lightning selects the check by NVML, which is slow.
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"
    with threads_for(elements):
        yield


@contextmanager
def threads_for(elements: int) -> Iterator[None]:
    """Use one thread if a batch is too small to divide, because the others would only wait."""
    before = torch.get_num_threads()
    if elements < MIN_ELEMENTS_FOR_THREADS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
