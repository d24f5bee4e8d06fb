"""The model of a step that scripts/scaling.py fits: it keeps to its own arithmetic."""

from typing import Any

import numpy as np
import pytest


@pytest.fixture
def outlook(monkeypatch, repository) -> Any:
    """Give the class, which lies among the scripts."""
    monkeypatch.syspath_prepend(repository / "scripts")
    from scalings.outlook import Outlook

    return Outlook


def test_a_straight_line_is_found_again(outlook):
    samples = np.array([128, 256, 1024, 4096])
    found = outlook.fit(samples, 0.002 + 3e-5 * samples, 0.001)
    assert (found.fixed, found.each) == pytest.approx((0.002, 3e-5))


@pytest.mark.parametrize("processes", [2, 8])
def test_without_overhead_many_are_as_many_times_faster(outlook, processes):
    found = outlook(0.0, 1e-5, 0.0)
    assert found.strong(1024, processes) == pytest.approx(processes)
    assert found.weak(1024, processes) == pytest.approx(processes)


@pytest.mark.parametrize("processes", [2, 8])
@pytest.mark.parametrize("efficiency", [0.5, 0.9])
def test_the_share_that_an_efficiency_needs_has_it(outlook, processes, efficiency):
    found = outlook(0.001, 2e-5, 0.003)
    share = found.share(efficiency, processes)
    assert found.strong(share * processes, processes) / processes == pytest.approx(efficiency)


def test_adding_up_the_gradients_of_two_takes_what_was_measured(outlook):
    found = outlook(0.001, 2e-5, 0.003)
    assert found.step(100, 2) - found.step(100, 1) == pytest.approx(0.003)
