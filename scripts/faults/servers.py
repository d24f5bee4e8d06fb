"""Servers that stop and start again while a pipeline records in them."""

import os
import random
from collections.abc import Iterator
from unittest import mock

import stores
from hosting.postgres import OwnPostgres, find_program
from hosting.team import MEMBER, Team
from hosting.temporary import temporary_team

from faults.bench import RECORD, UNRECORDED, Bench
from faults.checkout import REPRO, Checkout, Command, sentence
from faults.outcome import Outcome, digests
from faults.rows import Fault, Try
from hourglass.core.errors import UserError

NAME = "stopped for a while, and started again:"
KINDS = ("the MLflow server", "its PostgreSQL")
AWAY = 15.0  # seconds, at most, that a server is away


def servers(bench: Bench, tries: int, rng: random.Random) -> Iterator[Fault]:
    """Yield the fault after each pipeline that recorded in servers which were away at times.

    `hourglass record --all` then makes up for what the record lacks.
    """
    fault = Fault(NAME)
    try:
        find_program("initdb")
    except UserError as refusal:
        fault.note = f"Not tried: {refusal}"
        yield fault
        return
    for kind in (KINDS[number % len(KINDS)] for number in range(tries)):
        with temporary_team() as team:
            variables = team.variables(MEMBER, team.secrets["hourglass"])
            checkout = Checkout(bench.fresh.copy("served").folder, variables)
            fault.tries.append(_try(bench, checkout, team, kind, rng))
        yield fault


def _try(bench: Bench, checkout: Checkout, team: Team, kind: str, rng: random.Random) -> Try:
    command = checkout.start(*REPRO)
    while command.lives_after(rng.uniform(0, bench.seconds / 4)):
        _stop_for_a_while(team, kind, command, rng.uniform(1, AWAY))
    status, output = command.wait()
    checkout.wait_for_end()
    said = [line for line in output.splitlines() if UNRECORDED in line]
    lost = ["a command stopped with a traceback."] if "Traceback" in output else []
    if status:
        return Try(kind, False, sentence(output), [*lost, f"it stopped: {sentence(output)}"])
    recorded, text = checkout.run(*RECORD)
    if recorded:
        lost.append(f"`record` did not make up for it: {sentence(text)}")
    with mock.patch.dict(os.environ, checkout.variables):
        rows = stores.rows(checkout.variables["MLFLOW_TRACKING_URI"])
    changed = Outcome(digests(checkout.folder), rows).differences(bench.undisturbed)
    return Try(kind, not changed, said[-1] if said else "", [*lost, *changed])


def _stop_for_a_while(team: Team, kind: str, command: Command, seconds: float) -> None:
    """Stop a server, and start it again after some seconds, whatever the pipeline does by then."""
    assert isinstance(team.database, OwnPostgres)
    server = team.tracking if kind == KINDS[0] else team.database
    server.stop()
    command.lives_after(seconds)
    server.start()
