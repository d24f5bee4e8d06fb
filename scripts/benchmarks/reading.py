"""What reading the raw files costs by itself, as others read them."""

import time

import numpy as np
import pandas as pd
from torchvision.datasets import MNIST, FashionMNIST

from benchmarks.cases import Case
from benchmarks.worker import Done
from hourglass.core.paths import raw_folder


def with_torchvision(case: Case) -> Done:
    """Read what `prepare mnist` reads: two data sets, the train and the test part of each."""
    start = time.perf_counter()
    parts = [kind(raw_folder(), train=train) for kind in (MNIST, FashionMNIST) for train in (1, 0)]
    return Done(time.perf_counter() - start, sum(len(part.data) for part in parts))


def with_pandas(case: Case) -> Done:
    """Read the generated table into float32 features and labels."""
    start = time.perf_counter()
    frame = pd.read_csv("data/own/generated_card.csv")
    x = frame.drop(columns="Class").to_numpy(np.float32)
    return Done(time.perf_counter() - start, len(x))
