"""The worker processes of one `hourglass tune`: start, monitor and end them."""

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import IO

from optuna.exceptions import OptunaError
from sqlalchemy.exc import SQLAlchemyError

from hourglass.core.errors import UserError
from hourglass.core.installation import python_path
from hourglass.core.progress_bar import ProgressBar
from hourglass.tuning import study as studies
from hourglass.tuning.locks import locked, no_response
from hourglass.tuning.progress import StudyProgress
from hourglass.tuning.worker import REJECTED, Job

PAUSE_SECONDS = 0.3  # between two reads of the study
RESUME_HINT = "the study is kept, and the same command resumes it."


@dataclass(frozen=True)
class Worker:
    """A worker process and its standard error."""

    process: "subprocess.Popen[str]"
    stderr: IO[str]

    @classmethod
    def start(cls, job: Job, threads: int) -> "Worker":
        """Start a worker; it exits if this process ends, because its standard input is closed."""
        stderr = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        variables = {"OMP_NUM_THREADS": str(threads), **os.environ}
        process = subprocess.Popen(
            [sys.executable, "-m", "hourglass.tuning.worker", json.dumps(asdict(job))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            encoding="utf-8",
            env=variables | {"PYTHONPATH": python_path()},
        )
        return cls(process, stderr)

    @cached_property
    def failure(self) -> str:
        """The reason why the worker failed; after a crash, its standard error is printed."""
        if self.process.returncode == REJECTED:
            assert self.process.stdout
            return self.process.stdout.read().splitlines()[-1]
        self.stderr.seek(0)
        sys.stderr.write(self.stderr.read())
        return f"a worker ended with status {self.process.returncode}; {RESUME_HINT}"

    def end(self) -> None:
        """Kill the process if it has not ended, and close its streams."""
        self.process.kill()
        self.process.communicate()
        self.stderr.close()


def run(job: Job, count: int, progress: StudyProgress) -> None:
    """Run a study with `count` workers until it has the job's number of trials.

    Raises a UserError if a worker reports one, all workers end early, or the storage does not
    respond. No trial of these workers remains in state RUNNING afterwards.
    """
    threads = max(1, (os.cpu_count() or 1) // count)
    workers = [Worker.start(replace(job, index=index), threads) for index in range(count)]
    title = job.study.rpartition("-")[0]
    try:
        with ProgressBar(total=job.trials, desc=title, unit=" trials") as bar:
            while any(worker.process.poll() is None for worker in workers):
                progress.update(bar)
                _check(workers)
                time.sleep(PAUSE_SECONDS)
            progress.update(bar)
            _check(workers)
    except (OptunaError, SQLAlchemyError) as error:
        raise no_response(error) from None
    finally:
        for worker in workers:
            worker.end()
        # If the storage is unreachable, the next command retries the killed trials.
        with suppress(OptunaError, SQLAlchemyError), locked():
            # A worker may have started a trial since the last read.
            study = progress.study or studies.load(job.study, progress.storage)
            if study:
                studies.retry_killed(study, ended_command=job.command)


def _check(workers: list[Worker]) -> None:
    """Raise a UserError if a worker reported one or no worker is left."""
    failures = [worker.failure for worker in workers if worker.process.poll()]
    for worker in workers:
        # If a worker was killed, for example for lack of memory, the others run its trial again.
        if worker.process.returncode == REJECTED or len(failures) == len(workers):
            raise UserError(worker.failure)
