"""Command `repro`: `dvc repro` under a lock, after repairing the files of a killed DVC process."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any

from hourglass.core.atomic import load_plain_yaml
from hourglass.core.errors import UserError
from hourglass.core.fork_server.client import SWITCH, server_folder
from hourglass.core.installation import require_pinned_version, search_path
from hourglass.core.locks import file_lock
from hourglass.core.paths import PREPARED, RUNS
from hourglass.core.settings import params
from hourglass.core.suggestions import counted
from hourglass.stages.page_tables import page_is_outdated
from hourglass.stages.snapshot import CELL_STAGES, installed_code_changed

DVC_STATE = Path(".dvc/tmp")  # DVC's locks
DVC_LOCK = Path("dvc.lock")
OUTPUT_FOLDERS = (PREPARED, RUNS, Path("reports"))
DVC = (sys.executable, "-m", "dvc", "--wait-for-lock")
DATA_STAGES = ("prepare", "baselines", "references")
TEMPORARY_COPY = re.compile(r"\.[\w-]{22}\.tmp")  # an unfinished copy; DVC renames it at the end


def repro(target: str | None = None, jobs: int = 1) -> None:
    """Run the pipeline with `dvc repro`, after repairing the files of a killed run.

    With `--jobs`, several `dvc repro` run at the same time: first for different data sets, then for
    different cells. Each of them needs 1 GB of memory. The number of threads per process stays, as
    the last bits of some results depend on it. If a stage fails, the other processes still run all
    of their cells.

    If another `hourglass repro` is running in this checkout, prints a message and waits.

    DVC rewrites dvc.lock in place after every stage, so a `kill -9`, a power cut or a full disk may
    truncate it. A truncated dvc.lock is deleted; the results of finished stages then come from
    DVC's run cache.

    DVC does not track code outside src. If the code of this package, or of classes of other
    packages in the settings, is there and has changed, the stage `snapshot` runs first.

    Args:
        target: a stage, such as train@digits-linear, to run with all stages that it depends on; the
            whole pipeline if omitted
        jobs: the number of cells to run at the same time

    Examples:
        hourglass repro --jobs 2
        hourglass repro train@digits-linear

    """
    if jobs < 1:
        raise UserError(f"--jobs {jobs}: at least one job is needed.")
    if not Path("dvc.yaml").exists() or not DVC_STATE.parent.is_dir():
        raise UserError("there is no dvc.yaml here; run this in the project's folder.")
    _check_repository()
    require_pinned_version()
    with file_lock(DVC_STATE / "repro.lock", "another `hourglass repro` runs in this folder"):
        with _dvc_lock():
            for sentence in repair():
                print(f"hourglass: {sentence}", file=sys.stderr, flush=True)
        status, variables = 0, {}
        if installed_code_changed():
            status = _run(["repro", "--force", "--single-item", "snapshot"])
        if jobs > 1 and not target:
            if not status and not _is_outdated():
                print("Data and pipelines are up to date.")
                _complete_pages()
                return
            variables = _job_variables()
            status = status or _run_jobs(jobs, variables)
        status = status or _run(["repro", *([target] if target else [])], **variables)
        if not (status or target):
            _complete_pages()
    if status:
        sys.exit(status)


def _complete_pages() -> None:
    """Write the pages again if they are outdated, since DVC restores the tables only."""
    if page_is_outdated():
        from hourglass.stages.compare import compare

        print("writing reports/index.html again", flush=True)
        compare()


def _check_repository() -> None:
    """Raise a UserError outside a git repository, unless DVC is configured to work without one."""
    from dvc.config import Config
    from dvc.scm import SCM, SCMError

    try:
        SCM(".", no_scm=Config(".dvc")["core"].get("no_scm", False)).close()
    except SCMError:
        raise UserError(
            "this folder is not in a git repository, which DVC requires; run `git init`, or "
            "`dvc config --local core.no_scm true` to work without git."
        ) from None


def repair() -> list[str]:
    """Delete incomplete files and stale locks of a killed DVC; return a sentence per kind.

    The caller must hold DVC's lock.
    """
    repairs = []
    if DVC_LOCK.exists() and not is_complete(DVC_LOCK):
        DVC_LOCK.unlink()
        repairs.append(
            "dvc.lock was truncated and is written again; the results of finished stages come from "
            "DVC's run cache."
        )
    locks = DVC_STATE / "rwlock"
    if locks.exists() and _is_stale(locks):
        locks.unlink()
        repairs.append("removed the locks of a DVC that was killed.")
    hidden = [path for folder in OUTPUT_FOLDERS for path in folder.rglob(".*.tmp")]
    copies = [path for path in hidden if TEMPORARY_COPY.fullmatch(path.name) and path.is_file()]
    for path in copies:
        path.unlink()
    if copies:
        removed = counted(len(copies), "incomplete copy", "incomplete copies")
        repairs.append(f"removed {removed} of a DVC that was killed.")
    return repairs


def is_complete(path: Path) -> bool:
    """Return whether a dvc.lock ends with a newline and matches DVC's schema."""
    import yaml
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from voluptuous import Invalid

    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        COMPILED_LOCKFILE_SCHEMA(load_plain_yaml(text))
    except (yaml.YAMLError, Invalid):
        return False
    return text.endswith("\n")


def _is_stale(path: Path) -> bool:
    """Return whether DVC's lock file is unreadable, or all holders of its locks have ended.

    A holder counts only if it is a DVC process: after a reboot another process may have its id.
    """
    try:
        locks = json.loads(path.read_text(encoding="utf-8"))
        readers = [reader for group in locks.get("read", {}).values() for reader in group]
        holders = {lock["pid"] for lock in [*readers, *locks.get("write", {}).values()]}
    except (ValueError, TypeError, KeyError, AttributeError):
        return True
    import psutil

    for pid in holders:
        with suppress(psutil.Error):
            if any("dvc" in word for word in psutil.Process(pid).cmdline()):
                return False
    return bool(holders)


@contextmanager
def _dvc_lock() -> Iterator[None]:
    """Hold DVC's lock; if another DVC command holds it, print a message and wait."""
    from dvc.lock import Lock, LockError

    path = str(DVC_STATE / "lock")
    lock = Lock(path)
    try:
        lock.lock()  # raises after three seconds
    except LockError:
        print("hourglass: a DVC command runs here; waiting until it ends.", file=sys.stderr)
        lock = Lock(path, wait=True)
        lock.lock()
    try:
        yield
    finally:
        lock.unlock()


def _is_outdated() -> bool:
    """Return whether DVC has a stage to run."""
    return subprocess.run([*DVC, "status", "--quiet"]).returncode != 0


def _job_variables() -> dict[str, str]:
    """Return variables for DVC processes that share the cores and one fork server."""
    # Idle threads leave the cores to other processes.
    variables = {"OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "passive")}
    if sys.platform == "linux":
        variables[SWITCH] = os.environ.get(SWITCH) or server_folder(os.getpid())
    return variables


def _run_jobs(jobs: int, variables: dict[str, str]) -> int:
    """Run the stages of data sets, then those of cells, in `jobs` DVC processes at a time.

    Each process gets all stages of some data sets or cells, in order, as single items: DVC fails
    if two processes check a common stage. Returns the first nonzero status, or 0.
    """
    grid, stages = params(), load_plain_yaml(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    cells = [f"{data}-{model}" for data in grid.data for model in grid.models]
    status = _run(["repro", "snapshot"], **variables)
    for names, kinds in ((grid.data, DATA_STAGES), (cells, CELL_STAGES)):
        targets = [[f"{kind}@{name}" for kind in kinds if kind in stages] for name in names]
        commands = [
            ["repro", "--single-item", *chain(*targets[job::jobs])]
            for job in range(min(jobs, len(targets)))
        ]
        status = status or _run(*commands, **variables)
    return status


def _run(*commands: list[str], **variables: str) -> int:
    """Run DVC commands at the same time; return the first exit status that is not 0.

    SIGTERM is forwarded to them; the status is then that of a terminated process.
    """
    processes: list[subprocess.Popen[bytes]] = []
    terminated = False

    def terminate(*_: Any) -> None:
        nonlocal terminated
        terminated = True
        for process in processes:
            process.terminate()

    handlers = signal.signal(signal.SIGTERM, terminate), signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, lambda *_: None)  # DVC gets it from the terminal
    try:
        for command in commands:
            if not terminated:
                environment = {**os.environ, "PATH": search_path(), **variables}
                processes.append(subprocess.Popen([*DVC, *command], env=environment))
        if terminated:  # perhaps before a process was in the list
            terminate()
        statuses = [process.wait() for process in processes]
    finally:
        signal.signal(signal.SIGTERM, handlers[0])
        signal.signal(signal.SIGINT, handlers[1])
    return 128 + signal.SIGTERM if terminated else next(filter(None, statuses), 0)
