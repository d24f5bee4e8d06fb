"""Write files and folders completely or not at all, and compute their checksums."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hourglass.core.errors import SYSTEM_ERRORS, UserError

FULL_DISK_BYTES = 1 << 16  # a disk with less free space counts as full


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` and rename it to `path` if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # numpy and matplotlib choose the format by the suffix.
    temporary = path.with_name(f".{path.stem}.writing{path.suffix}")
    try:
        with disk_full_as_user_error(path):
            yield temporary
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder beside `path` that replaces `path` if the block succeeds."""
    with scratch_folder(path.with_name(f".{path.name}.writing")) as temporary:
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        temporary.rename(path)


@contextmanager
def atomic_files(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder and move its files into `folder` if the block succeeds."""
    with scratch_folder(folder / ".writing") as temporary:
        yield temporary
        # In the order of writing: if the last file exists, so do all others.
        for path in sorted(temporary.iterdir(), key=lambda path: path.stat().st_mtime_ns):
            target = folder / path.name
            if target.is_dir():
                shutil.rmtree(target)
            path.replace(target)


@contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder and delete it afterwards; a killed process may have left an old one."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        with disk_full_as_user_error(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def disk_full_as_user_error(path: Path) -> Iterator[None]:
    """Raise a UserError if the block fails while the disk of `path` is full.

    Some libraries raise errors of their own that do not mention the disk.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if shutil.disk_usage(path.parent).free < FULL_DISK_BYTES:
            reason, way_out = SYSTEM_ERRORS[errno.ENOSPC]
            raise UserError(f"{path}: {reason}; {way_out}.") from error
        raise


def fsync_all(paths: Iterable[Path]) -> None:
    """Flush files and their folders to the disk.

    A rename survives a kill, but not a power cut: for some 30 seconds a new file may be found empty
    afterwards. Its checksum shows that, but the file has to be computed again. Flushing takes some
    10 ms per file, so it is for files that took long to compute.
    """
    paths = list(paths)
    for path in [*paths, *{path.parent for path in paths}]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError:  # some shared file systems cannot flush a folder
            if not path.is_dir():
                raise
        finally:
            os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write `text` with Unix line ends, atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON; raise a ValueError for NaN, which JSON does not have."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def load_plain_yaml(text: str | bytes) -> Any:
    """Return the plain values in YAML, parsed in C if possible; may raise a yaml.YAMLError."""
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
