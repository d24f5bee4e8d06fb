"""PyOD's AutoEncoder with the network of the case: no batch norm, dropout or weight decay."""

import time

import numpy as np
import torch
from pyod.models.auto_encoder import AutoEncoder

from benchmarks.bare import reconstruction
from benchmarks.cases import Case
from benchmarks.networks import build
from benchmarks.worker import Done
from hourglass.core.paths import prepared_folder
from hourglass.data.prepared_data import Prepared
from hourglass.networks import Dense


def train(case: Case) -> Done:
    """Fit it to the prepared train split.

    It scales the samples itself, validates nothing, and scores the train split at the end.
    """
    prepared = Prepared.open(prepared_folder(case.data))
    network = build(case, prepared.input_shape)
    assert isinstance(network, Dense)
    detector = AutoEncoder(
        lr=case.learning_rate,
        epoch_num=case.epochs,
        batch_size=case.batch_size,
        device=torch.device(case.device),
        verbose=0,
        optimizer_params={"weight_decay": 0.0},
        hidden_neuron_list=[*network.init_args["hidden"], network.latent_dim],
        batch_norm=False,
        dropout_rate=0.0,
    )
    start = time.perf_counter()
    x = np.array(prepared.split("train").x)
    detector.fit(x)
    seconds = time.perf_counter() - start
    return Done(seconds, case.epochs * len(x), reconstruction(case, detector.model))
