"""The verb `repro`: `dvc repro`, one at a time, after mending what a kill left of DVC's files."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hourglass.core.atomic import load_plain_yaml
from hourglass.core.errors import UserError
from hourglass.core.locks import file_lock

STATE = Path(".dvc/tmp")  # where DVC keeps its locks
LOCK = Path("dvc.lock")
OUTPUTS = ("data/prepared", "runs", "reports")
HALF = re.compile(r"\.[\w-]{22}\.tmp")  # what DVC copies to before it renames


def repro(target: str | None = None) -> None:
    """Run the pipeline as `dvc repro` does, one at a time, and mend what a kill left before it.

    Where another one is at work on this checkout, says so and waits for its end. DVC writes
    dvc.lock anew after every stage, in place: a `kill -9`, a power cut or a full disk may leave it
    cut short. It is then made anew, and what the stages had done comes from DVC's run cache.

    Args:
        target: a stage, such as train@digits-linear, which is run with those before it; all if none

    """
    if not Path("dvc.yaml").exists() or not STATE.parent.is_dir():
        raise UserError("there is no dvc.yaml here; run this in the project's folder.")
    with file_lock(STATE / "repro.lock", "another `hourglass repro` is at work here"):
        with _dvc_stands_still():
            for sentence in mend():
                print(f"hourglass: {sentence}", file=sys.stderr, flush=True)
        status = _run(["repro", *([target] if target else [])])
    if status:
        sys.exit(status)


def mend() -> list[str]:
    """Take away what DVC left half written, and return a sentence for each; call it under its lock.

    Those of its locks that belong to no process any more are taken away as well: after a reboot
    another process may bear the number.
    """
    said = []
    if LOCK.exists() and not is_whole(LOCK):
        LOCK.unlink()
        said.append(
            "dvc.lock was cut short while DVC wrote it; it is made anew, and the stages that had "
            "ended come from DVC's run cache."
        )
    held = STATE / "rwlock"
    if held.exists() and _is_stale(held):
        held.unlink()
        said.append("a DVC that was killed left its locks behind; they are taken away.")
    if halves := [path for path in _hidden() if HALF.fullmatch(path.name) and path.is_file()]:
        for path in halves:
            path.unlink()
        said.append(f"a DVC that was killed left {len(halves)} half-copied files; they are gone.")
    return said


def _hidden() -> Iterator[Path]:
    """Yield what lies among the outputs and is no output, as its name begins with a point."""
    for folder in OUTPUTS:
        yield from Path(folder).rglob(".*.tmp")


def is_whole(path: Path) -> bool:
    """Return whether a dvc.lock ends as DVC ends it, and is one by DVC's own rules."""
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
    """Return whether DVC's file of locks cannot be read, or names no DVC that is alive."""
    try:
        locks = json.loads(path.read_text(encoding="utf-8"))
        readers = [each for several in locks.get("read", {}).values() for each in several]
        holders = {each["pid"] for each in [*readers, *locks.get("write", {}).values()]}
    except (ValueError, TypeError, KeyError, AttributeError):
        return True
    return bool(holders) and not any(map(_is_dvc, holders))


def _is_dvc(pid: int) -> bool:
    import psutil

    try:
        return any("dvc" in word for word in psutil.Process(pid).cmdline())
    except psutil.Error:
        return False


@contextmanager
def _dvc_stands_still() -> Iterator[None]:
    """Hold the lock under which DVC writes its files; where a DVC has it, say so and wait."""
    from dvc.lock import Lock, LockError

    path = str(STATE / "lock")
    lock = Lock(path)
    try:
        lock.lock()  # which takes three seconds to give up
    except LockError:
        print("hourglass: a DVC command is at work here; waiting for its end.", file=sys.stderr)
        lock = Lock(path, wait=True)
        lock.lock()
    try:
        yield
    finally:
        lock.unlock()


def _run(words: list[str]) -> int:
    """Run DVC to its end, passing on what would end us, and return its exit status."""
    process = subprocess.Popen([sys.executable, "-m", "dvc", "--wait-for-lock", *words])

    def pass_on(number: int, frame: Any) -> None:
        process.send_signal(number)

    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGINT, lambda number, frame: None)  # the terminal tells DVC as well
    return process.wait()
