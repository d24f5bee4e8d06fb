"""How many threads, which memory and which questions suit a training on the CPU."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from hourglass.core.allocator import keep_freed_memory


@contextmanager
def tuned_to(device: torch.device, elements: int) -> Iterator[None]:
    """Have batches of so many `elements` trained on a device by what suits them."""
    if device.type == "cpu":
        keep_freed_memory()
        # Adam asks at each step whether there is a GPU; by NVML, Lightning's choice, that is slow.
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"
    with threads_for(elements):
        yield


@contextmanager
def threads_for(elements: int) -> Iterator[None]:
    """Use one thread where a batch is too small to share: others would only wait for each other.

    Below 32,768 `elements` ATen does not share elementwise work either (at::internal::GRAIN_SIZE).
    """
    before = torch.get_num_threads()
    if elements < 32_768:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
