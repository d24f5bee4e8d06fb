"""The command's side of a study: it starts the workers, and ends them whatever happens."""

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO

from optuna.exceptions import OptunaError
from sqlalchemy.exc import SQLAlchemyError
from tqdm import tqdm

from hourglass.core.errors import UserError
from hourglass.tuning import study as studies
from hourglass.tuning.locks import locked, silent
from hourglass.tuning.progress import Watch
from hourglass.tuning.retries import retry_killed
from hourglass.tuning.worker_job import Job

PAUSE = 0.3  # seconds between two looks at the study
GOES_ON = "the study is kept, and the same command goes on with it."


@dataclass
class Worker:
    """A process that runs trials, and what it says."""

    process: subprocess.Popen[str]
    errors: IO[str]
    refused: bool = False
    failure: str = ""  # why it ended too early

    @classmethod
    def start(cls, job: Job, threads: int) -> "Worker":
        """Start a worker; it ends when our end of its standard input is gone, however we end."""
        errors = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        # A user's own variants and database drivers may be on the path as well.
        path = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
        variables = {
            "OMP_NUM_THREADS": str(threads),
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path),
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "hourglass.tuning.worker", json.dumps(asdict(job))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            encoding="utf-8",
            env=variables,
        )
        return cls(process, errors)

    def check(self) -> bool:
        """Return whether the worker is at it or has done its work; else note why it is not."""
        if not self.process.poll():
            return True
        if not self.failure:
            assert self.process.stdout
            answers = self.process.stdout.read().splitlines()
            self.refused = bool(answers)
            self.failure = json.loads(answers[-1])["refusal"] if answers else self._died()
        return False

    def _died(self) -> str:
        self.errors.seek(0)
        sys.stderr.write(self.errors.read())
        return f"a worker ended with status {self.process.returncode}; {GOES_ON}"

    def end(self) -> None:
        """End the process, if it has not ended."""
        self.process.kill()
        self.process.communicate()
        self.errors.close()


def run(job: Job, workers: int, watch: Watch) -> None:
    """Run a study with so many workers until it has the job's trials.

    Raises a UserError where the workers refuse the question, all of them ended too early, or the
    storage does not answer. Whatever ends this, no trial is left running.
    """
    threads = max(1, (os.cpu_count() or 1) // workers)
    started = [Worker.start(replace(job, place=place), threads) for place in range(workers)]
    try:
        with tqdm(total=job.trials, desc=_title(job), unit="trial", disable=None) as bar:
            while any(worker.process.poll() is None for worker in started):
                watch.look(bar)
                _check(started)
                time.sleep(PAUSE)
            watch.look(bar)
            _check(started)
    except (OptunaError, SQLAlchemyError) as error:
        raise silent(error) from None
    except KeyboardInterrupt:
        raise UserError(f"stopped; {GOES_ON}") from None
    finally:
        for worker in started:
            worker.end()
        with (
            suppress(OptunaError, SQLAlchemyError, UserError),
            locked(),
        ):  # the next command does it else
            # A worker may have begun one since the last look.
            study = watch.study or studies.load(job.study, watch.where)
            if study:
                retry_killed(study)


def _title(job: Job) -> str:
    return job.study.rpartition("-")[0]


def _check(workers: list[Worker]) -> None:
    """Raise a UserError where a worker refused its job, or none is left to go on with it."""
    ended = [worker for worker in workers if not worker.check()]
    for worker in ended:
        # Those that were killed, by the system for memory for instance, are made up for by others.
        if worker.refused or len(ended) == len(workers):
            raise UserError(worker.failure)
