"""Write files whole or not at all, and fingerprint them."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hourglass.core.errors import SYSTEM, UserError

NO_ROOM = 1 << 16  # bytes: a file that is written leaves less on a disk that is full


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` and rename it to `path` once the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix is kept: writers such as numpy's and matplotlib's go by it.
    temporary = path.with_name(f".{path.stem}.writing{path.suffix}")
    try:
        with disk_full_as_user_error(path):
            yield temporary
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path` that replaces `path` once the block succeeds."""
    with scratch_folder(path.with_name(f".{path.name}.writing")) as temporary:
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        temporary.rename(path)


@contextmanager
def atomic_files(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder whose content moves into `folder` once the block succeeds."""
    with scratch_folder(folder / ".writing") as temporary:
        yield temporary
        # As they were written: the last one tells that all are there.
        for each in sorted(temporary.iterdir(), key=lambda each: each.stat().st_mtime_ns):
            target = folder / each.name
            if target.is_dir():
                shutil.rmtree(target)
            each.replace(target)


@contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder of a fixed name: what a killed process left is taken away."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        with disk_full_as_user_error(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def disk_full_as_user_error(path: Path) -> Iterator[None]:
    """Say in a UserError that the disk of `path` is full, where that is why the block fails.

    Of the libraries that write, some raise errors of their own, which do not tell.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if shutil.disk_usage(path.parent).free < NO_ROOM:
            reason, way_out = SYSTEM[errno.ENOSPC]
            raise UserError(f"{path}: {reason}; {way_out}.") from error
        raise


def fsync_all(paths: Iterable[Path]) -> None:
    """Return once files that were written are on the disk, where a power cut leaves them whole.

    A rename alone keeps its promise over a kill, not over a power cut: until the system has written
    a new file, some 30 s later, it may be found empty; its seal tells, but it has to be made again.
    To wait takes some 10 ms a file, so it is for what took long to make.
    """
    paths = list(paths)
    for path in [*paths, *{path.parent for path in paths}]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError:  # of a folder, on some shared file systems
            if not path.is_dir():
                raise
        finally:
            os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write `text` with Unix line ends, whole or not at all."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON; NaN is refused with a ValueError, as JSON knows none."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def load_plain_yaml(text: str | bytes) -> Any:
    """Return what YAML holds, plain values only; thousands of lines take no seconds.

    Raises a yaml.YAMLError where it is none.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
