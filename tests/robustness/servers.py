"""Tracking servers that stop and start again while a pipeline records its results."""

import os
import random
import time
from collections.abc import Iterator
from unittest import mock

import stores
from hosting.postgres import OwnPostgres, find_program
from hosting.team import MEMBER, Team, temporary_team
from mlflow import MlflowClient, MlflowException

from hourglass.core.errors import UserError
from tests.robustness.checkout import REPRO, Command, message
from tests.robustness.outcome import NOT_RECORDED, RECORD, Bench, Outcome, digests
from tests.robustness.report import Try
from tests.workspaces import wait_for_end

KINDS = ("the MLflow server", "the PostgreSQL of the MLflow server")
LONGEST_OUTAGE_SECONDS = 15.0
RECOVERY_SECONDS = 120.0  # MLflow retries the connection to its database for up to 51 s


def servers(bench: Bench, tries: int, rng: random.Random) -> Iterator[Try]:
    """Yield the result of each pipeline whose tracking servers stopped at times.

    `hourglass record --all` then completes the record. Yields nothing without PostgreSQL.
    """
    try:
        find_program("initdb")
    except UserError as error:
        print(f"not tried: {error}")
        return
    for number in range(tries):
        with temporary_team() as team:
            yield _try(bench, team, KINDS[number % len(KINDS)], rng)


def _try(bench: Bench, team: Team, kind: str, rng: random.Random) -> Try:
    checkout = bench.fresh.copy("served", **team.variables(MEMBER, team.secrets["hourglass"]))
    command = checkout.start(*REPRO)
    while command.lives_after(rng.uniform(0, bench.seconds / 4)):
        _restart(team, kind, command, rng.uniform(1, LONGEST_OUTAGE_SECONDS))
    status, output = command.wait()
    wait_for_end(checkout.folder)
    losses = ["a command stopped with a traceback."] if "Traceback" in output else []
    if status:
        return Try(kind, False, message(output), [*losses, f"it stopped: {message(output)}"])
    unrecorded = [line for line in output.splitlines() if NOT_RECORDED in line]
    with mock.patch.dict(os.environ, checkout.variables):
        _wait_for_recovery(checkout.variables["MLFLOW_TRACKING_URI"])
    status, output = checkout.run(*RECORD)
    if status:
        losses.append(f"`record` failed: {message(output)}")
    with mock.patch.dict(os.environ, checkout.variables):
        rows = stores.rows(checkout.variables["MLFLOW_TRACKING_URI"])
    changed = Outcome(digests(checkout.folder), rows).differences(bench.undisturbed)
    return Try(kind, not changed, "".join(unrecorded[-1:]), [*losses, *changed])


def _restart(team: Team, kind: str, command: Command, outage_seconds: float) -> None:
    """Stop a server and start it again after some seconds, or once the command ends."""
    assert isinstance(team.database, OwnPostgres)
    server = team.tracking if kind == KINDS[0] else team.database
    server.stop()
    command.lives_after(outage_seconds)
    server.start()


def _wait_for_recovery(uri: str) -> None:
    """Wait until the MLflow server answers from its database again."""
    end = time.monotonic() + RECOVERY_SECONDS
    while True:
        try:
            MlflowClient(uri).search_experiments()
            return
        except MlflowException:
            if time.monotonic() > end:
                raise
            time.sleep(1)
