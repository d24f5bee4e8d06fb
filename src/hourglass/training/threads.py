"""How many threads, and which questions, a training on the CPU can do without."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def tuned_to(device: torch.device, elements: int) -> Iterator[None]:
    """Use one thread where a batch is too small to share: others would only wait for each other.

    Below 32,768 `elements` ATen does not share elementwise work either (at::internal::GRAIN_SIZE).
    """
    if device.type == "cpu":
        # Adam asks at each step whether there is a GPU; by NVML, Lightning's choice, that is slow.
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"
    before = torch.get_num_threads()
    if elements < 32_768:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
