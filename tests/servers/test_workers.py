"""Four who work at one study on PostgreSQL while they are killed, and while it is restarted."""

import pytest
from faults.workers import main

pytestmark = [
    pytest.mark.servers,
    pytest.mark.slow,
    pytest.mark.usefixtures("postgresql"),
]
LOSSES = (
    *("failed by themselves", "doubled", "lost", "open"),
    *("recorded twice", "not recorded", "recorded though killed"),
)


def test_killed_workers_leave_the_trials_that_were_asked_for_each_once():
    found = main(kills=3, every=8, trials=12)
    assert found["killed"] >= 1
    assert found["counted"] == found["recorded"] == found["asked"]
    assert {key: found[key] for key in LOSSES} == dict.fromkeys(LOSSES, 0)


def test_a_postgresql_that_is_restarted_loses_and_doubles_no_trial():
    found = main(kills=1, restarts=2, every=8, trials=12)
    assert found["counted"] == found["recorded"] == found["asked"]
    assert {key: found[key] for key in LOSSES} == dict.fromkeys(LOSSES, 0)
