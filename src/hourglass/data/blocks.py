"""Blocks of a series: stretches of a window's length, which thresholds count instead of rows.

The scores of neighbouring rows depend on each other, so rows above a threshold come in groups. The
highest scores of blocks depend on each other far less, see `detection.block_scores`.
"""

import numpy as np

from hourglass.data.windows import Windows


def run_of_row(windows: Windows) -> np.ndarray:
    """Return the number of the run that each row lies in, (T,)."""
    return run_of_step(windows, windows.step_of_row)


def run_of_step(windows: Windows, steps: np.ndarray) -> np.ndarray:
    """Return the number of the run that each of some steps lies in: (n,) -> (n,)."""
    return np.searchsorted(windows.bounds, steps, "right") - 1


def block_of_row(windows: Windows) -> np.ndarray:
    """Return the number of each row's block, (T,), in the order of the steps.

    A block is `window` consecutive steps of a run. The last, shorter one of a run joins the one
    before it, and a run that is shorter than a window is one block. Blocks without rows, as in a
    gap that ends no run, have no number.
    """
    counts = np.diff(windows.bounds) // windows.window  # at least 1, as short runs are padded
    run = run_of_row(windows)
    place = (windows.step_of_row - windows.bounds[run]) // windows.window
    block = (np.cumsum(counts) - counts)[run] + np.minimum(place, counts[run] - 1)
    numbers: np.ndarray = np.unique(block, return_inverse=True)[1]
    return numbers


def block_count(windows: Windows) -> int:
    """Return the number of blocks with rows."""
    return int(block_of_row(windows).max(initial=-1)) + 1
