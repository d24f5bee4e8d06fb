"""Tracking servers that stop and start again while a pipeline records its results."""

import os
import random
from collections.abc import Iterator
from unittest import mock

import stores
from hosting.postgres import OwnPostgres, find_program
from hosting.team import MEMBER, Team, temporary_team

from hourglass.core.errors import UserError
from tests.robustness.checkout import REPRO, Checkout, Command, message
from tests.robustness.outcome import NOT_RECORDED, RECORD, Bench, Outcome, digests
from tests.robustness.report import Fault, Try

NAME = "a stop and a restart of"
KINDS = ("the MLflow server", "the PostgreSQL of the MLflow server")
LONGEST_OUTAGE_SECONDS = 15.0


def servers(bench: Bench, tries: int, rng: random.Random) -> Iterator[Fault]:
    """Yield the fault after each pipeline whose tracking servers stopped at times.

    `hourglass record --all` then completes the record.
    """
    fault = Fault(NAME)
    try:
        find_program("initdb")
    except UserError as error:
        fault.note = f"Not tried: {error}"
        yield fault
        return
    for number in range(tries):
        with temporary_team() as team:
            variables = team.variables(MEMBER, team.secrets["hourglass"])
            checkout = Checkout(bench.fresh.copy("served").folder, variables)
            fault.tries.append(_try(bench, checkout, team, KINDS[number % len(KINDS)], rng))
        yield fault


def _try(bench: Bench, checkout: Checkout, team: Team, kind: str, rng: random.Random) -> Try:
    command = checkout.start(*REPRO)
    while command.lives_after(rng.uniform(0, bench.seconds / 4)):
        _restart(team, kind, command, rng.uniform(1, LONGEST_OUTAGE_SECONDS))
    status, output = command.wait()
    checkout.wait_for_end()
    said = [line for line in output.splitlines() if NOT_RECORDED in line]
    lost = ["a command stopped with a traceback."] if "Traceback" in output else []
    if status:
        return Try(kind, False, message(output), [*lost, f"it stopped: {message(output)}"])
    status, output = checkout.run(*RECORD)
    if status:
        lost.append(f"`record` failed: {message(output)}")
    with mock.patch.dict(os.environ, checkout.variables):
        rows = stores.rows(checkout.variables["MLFLOW_TRACKING_URI"])
    changed = Outcome(digests(checkout.folder), rows).differences(bench.undisturbed)
    return Try(kind, not changed, said[-1] if said else "", [*lost, *changed])


def _restart(team: Team, kind: str, command: Command, outage_seconds: float) -> None:
    """Stop a server and start it again after some seconds, or once the command ends."""
    assert isinstance(team.database, OwnPostgres)
    server = team.tracking if kind == KINDS[0] else team.database
    server.stop()
    command.lives_after(outage_seconds)
    server.start()
