"""Readers of the raw files in other libraries."""

import time

import numpy as np
import pandas as pd
from torchvision.datasets import MNIST, FashionMNIST

from benchmarks.cases import Case
from benchmarks.worker import Done
from hourglass.core.paths import raw_folder


def with_torchvision(case: Case) -> Done:
    """Read the files of `prepare mnist`: train and test parts of two data sets."""
    start = time.perf_counter()
    parts = [kind(raw_folder(), train=train) for kind in (MNIST, FashionMNIST) for train in (1, 0)]
    return Done(time.perf_counter() - start, sum(len(part.data) for part in parts))


def with_pandas(case: Case) -> Done:
    """Read the generated table into float32 features and labels."""
    start = time.perf_counter()
    frame = pd.read_csv("data/own/generated_card.csv")
    x = frame.drop(columns="Class").to_numpy(np.float32)
    return Done(time.perf_counter() - start, len(x))
