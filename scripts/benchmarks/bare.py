"""Bare loops over tensors in memory: the limit of the comparison."""

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.cases import Case
from benchmarks.networks import build
from benchmarks.worker import Done
from hourglass.core.paths import prepared_folder
from hourglass.data.prepared_data import SPLITS, Prepared
from hourglass.data.scaling import Encoding
from hourglass.data.table_encoding import TableEncoding

SCORING_BATCH_ELEMENTS = 2**18, 2**20


def train(case: Case) -> Done:
    """Train by a bare loop with a validation error per epoch."""
    prepared = Prepared.open(prepared_folder(case.data))
    network = build(case, prepared.input_shape).to(case.device)
    start = time.perf_counter()
    samples = _fit(case, prepared, network)
    synchronise(case)
    seconds = time.perf_counter() - start
    return Done(seconds, samples, reconstruction(case, network))


def _fit(case: Case, prepared: Prepared, network: torch.nn.Module) -> int:
    x, validation = (
        torch.from_numpy(np.array(prepared.split(name).x)).to(case.device)
        for name in SPLITS[:2]  # train and validation
    )
    scaled = scaler(prepared.scaling, case.device)
    if prepared.heads:  # a table is encoded once
        x, validation, scaled = scaled(x), scaled(validation), torch.nn.Identity()
    optimizer = torch.optim.Adam(network.parameters(), case.learning_rate, fused=True)
    for _ in range(case.epochs):
        for indices in torch.randperm(len(x)).to(case.device).split(case.batch_size):
            batch = scaled(x.index_select(0, indices))
            loss = functional.mse_loss(network(batch), batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            batches = (scaled(part) for part in validation.split(case.batch_size))
            errors = [functional.mse_loss(network(batch), batch) for batch in batches]
            torch.stack(errors).mean().item()
    return case.epochs * len(x)


def score(case: Case) -> Done:
    """Apply the network to scaled samples in memory.

    The faster of two batch sizes counts; it depends on the network.
    """
    prepared = Prepared.open(prepared_folder(case.data))
    network = build(case, prepared.input_shape).eval().to(case.device)
    scaled = scaler(prepared.scaling, case.device)
    x = scaled(torch.from_numpy(np.array(prepared.split("train").x)).to(case.device))
    return Done(
        min(_passes(case, network, x, size) for size in SCORING_BATCH_ELEMENTS),
        case.epochs * len(x),
    )


def _passes(case: Case, network: torch.nn.Module, x: Tensor, elements: int) -> float:
    """Return the seconds of all passes with batches of `elements` elements."""
    size = elements // x[0].numel()
    with torch.inference_mode():
        network(x[:size])
        start = time.perf_counter()
        for _ in range(case.epochs):
            for batch in x.split(size):
                network(batch)
        synchronise(case)
        return time.perf_counter() - start


def scaler(scaling: Encoding, device: str) -> Callable[[Tensor], Tensor]:
    """Return the scaling of tensors without operations that have no effect on the data set."""
    if isinstance(scaling, TableEncoding):
        return scaling
    offset, scale = (
        torch.from_numpy(np.asarray(each)).to(device) for each in (scaling.offset, scaling.scale)
    )
    if scaling.offset.any():
        return lambda x: (x - offset) / scale
    return lambda x: x / scale


def reconstruction(case: Case, network: torch.nn.Module) -> Callable[[np.ndarray], np.ndarray]:
    """Return a trained network as a function of arrays."""

    def reconstruct(x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network.eval()(torch.from_numpy(x).to(case.device)).cpu().numpy()

    return reconstruct


def synchronise(case: Case) -> None:
    """Wait until the device is done."""
    if case.device == "cuda":
        torch.cuda.synchronize()
