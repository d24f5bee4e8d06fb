"""Keras in its usual form: a float32 array in memory, a Sequential model, `fit`."""

import math
import time

import keras
import numpy as np
from keras import layers

from benchmarks.cases import Case
from benchmarks.worker import Done
from hourglass.core.paths import prepared_folder
from hourglass.data.prepared_data import SPLITS, Prepared


def train(case: Case) -> Done:
    """Train by `fit` with a validation error per epoch."""
    _use_threads()
    keras.utils.set_random_seed(0)
    prepared = Prepared.open(prepared_folder(case.data))
    model = keras.Sequential([layers.Input((28, 28, 1)), *NETWORKS[case.network]()])
    start = time.perf_counter()
    x, validation = (
        np.moveaxis(prepared.scaling(np.asarray(prepared.split(name).x)), 1, -1)
        for name in SPLITS[:2]
    )
    model.compile(keras.optimizers.Adam(case.learning_rate), "mse")
    held = (validation, validation)
    model.fit(x, x, case.batch_size, case.epochs, verbose=0, validation_data=held)
    seconds = time.perf_counter() - start

    def reconstruct(images: np.ndarray) -> np.ndarray:
        output = model.predict(np.moveaxis(images, 1, -1), 4096, verbose=0)
        return np.moveaxis(output, -1, 1)

    return Done(seconds, case.epochs * len(x), reconstruct)


def _dense() -> list[keras.Layer]:
    """Return 784-256-32-256-784, like `Dense` of Hourglass."""
    return [
        layers.Flatten(),
        layers.Dense(256, "relu"),
        layers.Dense(32),
        layers.Dense(256, "relu"),
        layers.Dense(784, "sigmoid"),
        layers.Reshape((28, 28, 1)),
    ]


def _convolutional() -> list[keras.Layer]:
    """Return two strided convolutions, a code of 32 and the decoder, like `Convolutional`."""
    same = {"strides": 2, "padding": "same"}
    return [
        layers.Conv2D(16, 3, activation="relu", **same),
        layers.Conv2D(32, 3, activation="relu", **same),
        layers.Flatten(),
        layers.Dense(32),
        layers.Dense(math.prod((7, 7, 32))),
        layers.Reshape((7, 7, 32)),
        layers.ReLU(),
        layers.Conv2DTranspose(16, 3, activation="relu", **same),
        layers.Conv2DTranspose(1, 3, activation="sigmoid", **same),
    ]


NETWORKS = {"dense": _dense, "convolutional": _convolutional}


def _use_threads() -> None:
    """Give TensorFlow, if it is the backend, as many threads as PyTorch has."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf
        import torch

        tf.config.threading.set_intra_op_parallelism_threads(torch.get_num_threads())
        tf.config.threading.set_inter_op_parallelism_threads(torch.get_num_threads())
