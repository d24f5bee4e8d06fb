"""The model of a training step that scripts/scaling.py fits."""

import numpy as np
import pytest
from scaling_report import Outlook


def test_the_fit_recovers_a_straight_line():
    samples = np.array([128, 256, 1024, 4096])
    model = Outlook.fit(samples, 0.002 + 3e-5 * samples, 0.001)
    assert (model.fixed, model.each) == pytest.approx((0.002, 3e-5))


@pytest.mark.parametrize("processes", [2, 8])
def test_without_overhead_the_speed_up_equals_the_number_of_processes(processes):
    model = Outlook(0.0, 1e-5, 0.0)
    assert model.strong(1024, processes) == pytest.approx(processes)
    assert model.weak(1024, processes) == pytest.approx(processes)


@pytest.mark.parametrize("processes", [2, 8])
@pytest.mark.parametrize("efficiency", [0.5, 0.9])
def test_the_share_for_an_efficiency_gives_that_efficiency(processes, efficiency):
    model = Outlook(0.001, 2e-5, 0.003)
    share = model.share(efficiency, processes)
    assert model.strong(share * processes, processes) / processes == pytest.approx(efficiency)


def test_the_gradients_of_two_processes_take_the_measured_time():
    model = Outlook(0.001, 2e-5, 0.003)
    assert model.step(100, 2) - model.step(100, 1) == pytest.approx(0.003)
