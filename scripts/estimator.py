"""Measure the speed of a fit of `hourglass.Autoencoder`.

    python scripts/estimator.py
    python scripts/estimator.py --variant denoising

Prints the seconds of a fit of 6,000 rows of 29 features after import, and of a bare PyTorch loop
that makes the same steps.
"""

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from bare_loops import train_bare
from common import argument_parser

from hourglass import Autoencoder
from hourglass.api.settings import estimator_settings
from hourglass.training.in_memory import preserved_globals
from hourglass.training.trainer import build_module

ROWS, FEATURES, ROUNDS = 6000, 29, 5


def main() -> None:
    """Print wall and CPU seconds of the first fit, and medians of later ones and of bare loops."""
    parser = argument_parser(__doc__)
    parser.add_argument("--variant", default="ensemble", help="by default that of tables")
    variant = parser.parse_args().variant
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, FEATURES)) @ rng.normal(size=(FEATURES, FEATURES))
    estimator = Autoencoder(variant)
    first = timed(estimator.fit, x)
    epochs, rows = len(estimator.history_), round(0.7 * ROWS)
    kind, settings = estimator_settings(
        variant, (rows, FEATURES), init_args={}, training={}, trainer={}, seed=0
    )
    scaled = torch.from_numpy(((x - x.mean(0)) / x.std(0)).astype(np.float32))
    module = build_module(kind, settings, "bare loop")
    batch_size = settings.training.batch_size
    fits, loops = [], []
    with preserved_globals():
        torch.set_num_threads(1)
    for _ in range(ROUNDS):  # in turns, as the load of the machine changes
        fits.append(timed(estimator.fit, x))
        held_out = scaled[rows : rows + ROWS // 10]
        loops.append(timed(train_bare, module, scaled[:rows], held_out, batch_size, epochs))
    (wall, cpu), (bare_wall, bare_cpu) = (np.median(times, 0) for times in (fits, loops))
    print(f"{epochs} epochs of {-(-rows // batch_size)} steps; seconds of wall clock and of CPU")
    print(f"first fit  {first[0]:.2f}  {first[1]:.2f}")
    print(f"fit        {wall:.2f}  {cpu:.2f}")
    print(f"bare loop  {bare_wall:.2f}  {bare_cpu:.2f}")
    print(f"ratio      {wall / bare_wall:.2f}  {cpu / bare_cpu:.2f}")


def timed(function: Callable[..., Any], *arguments: Any) -> tuple[float, float]:
    """Return the wall-clock and the CPU seconds of a call."""
    wall, cpu = time.perf_counter(), time.process_time()
    function(*arguments)
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
