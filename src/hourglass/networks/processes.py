"""Tensors of all processes of a training: sums, and the copy of the first one."""

from torch import Tensor, distributed


def process_count() -> int:
    """Return the number of processes of a training."""
    is_distributed = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if is_distributed else 1


def over_processes(tensor: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes."""
    if process_count() > 1:
        tensor = tensor.clone()
        distributed.all_reduce(tensor)
    return tensor


def of_first_process(tensor: Tensor) -> Tensor:
    """Return the tensor of the first process."""
    if process_count() > 1:
        tensor = tensor.contiguous()
        distributed.broadcast(tensor, 0)
    return tensor
