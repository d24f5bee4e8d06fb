"""CPU settings for training: number of threads, reuse of freed memory, and the check for a GPU.

Reuse of freed memory raises the throughput of a plain training loop of a convolutional network
from 7,628 to 15,940 samples per second on two cores (docs/benchmarks/benchmark.md). Set
HOURGLASS_CPU_TUNING to "off" to disable all settings of this module.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from hourglass.core.memory_allocator import keep_freed_memory

SWITCH = "HOURGLASS_CPU_TUNING"  # environment variable
# ATen also uses one thread for elementwise operations below this size (at::internal::GRAIN_SIZE).
MIN_ELEMENTS_FOR_THREADS = 32_768


@contextmanager
def tune_cpu(device: torch.device, elements: int) -> Iterator[None]:
    """Apply the settings for training on a device with batches of `elements` in total."""
    if os.environ.get(SWITCH) == "off":
        yield
        return
    if device.type == "cpu":
        keep_freed_memory()
        # Adam checks for a GPU at each step; Lightning's choice, the check by NVML, is slow.
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"
    with threads_for(elements):
        yield


@contextmanager
def threads_for(elements: int) -> Iterator[None]:
    """Use one torch thread if a batch, of `elements` in total, is too small to divide."""
    before = torch.get_num_threads()
    if elements < MIN_ELEMENTS_FOR_THREADS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
