"""From measured parts to what more processes would bring: a model of a training step.

A process computes b samples in t(b) = fixed + each * b seconds; W processes then add their
gradients up in a(W) = a(2) * 2 (W - 1) / W, as in a ring (Patarasuk and Yuan 2009), whose latency
is left out; a(2) is what a step of two takes longer than that of one which has as many samples as
each of them. Nothing is computed meanwhile.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Outlook:
    """Predict steps of one network from what one and two processes took; times in seconds."""

    fixed: float  # of a step, however few its samples
    each: float  # of a sample
    together: float  # of adding up the gradients of two processes, in a step

    @classmethod
    def fit(cls, samples: Sequence[float], steps: Sequence[float], together: float) -> "Outlook":
        """Return the model of one process' steps, fitted so that relative errors are small."""
        y = np.asarray(steps)
        each, fixed = np.polyfit(samples, y, 1, w=1 / y)
        return cls(max(0.0, float(fixed)), float(each), together)

    def step(self, samples: float, processes: int) -> float:
        """Return the seconds of a step of `samples` in each of some processes."""
        together = self.together * 2 * (processes - 1) / processes
        return self.fixed + self.each * samples + together

    def strong(self, batch_size: int, processes: int) -> float:
        """Return how many times faster a batch is done by several processes than by one."""
        return self.step(batch_size, 1) / self.step(batch_size / processes, processes)

    def weak(self, batch_size: int, processes: int) -> float:
        """Return how many times more samples a second several take, each with its share alike."""
        share = batch_size / processes
        return processes * self.step(share, 1) / self.step(share, processes)

    def share(self, efficiency: float, processes: int) -> float:
        """Return the samples that each process needs in a step for a strong efficiency."""
        # fixed + W each b = W e (fixed + each b + a), for b.
        w, e = processes, efficiency
        together = self.step(0, w)
        return max(0.0, (w * e * together - self.fixed) / (w * self.each * (1 - e)))
