"""Atomic writes of files and folders, and the SHA-256 of files."""

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
# Limits of YAML files, with aliases expanded.
MAX_YAML_DEPTH, MAX_YAML_VALUES = 100, 1_000_000


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; rename it to `path` if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Keeps the suffix, because numpy and matplotlib choose the format by it.
    temporary = path.with_name(f".{path.stem}.writing{path.suffix}")
    try:
        with disk_full_as_user_error(path):
            yield temporary
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder next to `path`; it replaces `path` if the block succeeds."""
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
        # Moved in the order of writing: if the last file exists, all others exist too.
        for path in sorted(temporary.iterdir(), key=lambda path: path.stat().st_mtime_ns):
            target = folder / path.name
            if target.is_dir():
                shutil.rmtree(target)
            path.replace(target)


@contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder and delete it afterwards.

    A folder left over from a killed process is deleted first.
    """
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

    Some libraries hide the cause: their errors do not mention the disk.
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

    Without it, a power cut within about 30 seconds of a write may leave the new file empty. The
    checksum reveals the loss, but the file must be computed again. Flushing takes about 10 ms per
    file, so use it for files that are expensive to compute.
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
    """Write `text` atomically, with Unix line endings."""
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as `dump_json` formats it."""
    write_text(path, dump_json(value))


def dump_json(value: Any) -> str:
    """Return `value` as indented JSON; raise a ValueError for NaN, which JSON does not allow."""
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def load_plain_yaml(text: str | bytes) -> Any:
    """Parse YAML to plain values, in C if available.

    Raises a yaml.YAMLError if the text is invalid, repeats a key, is nested too deeply or without
    end (an alias inside its anchor), or has aliases that expand to too many values.
    """
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        node = loader.get_single_node()
        _check_nodes(node)
        return None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()


def _check_nodes(root: Any) -> None:
    """Raise a yaml.YAMLError for a document that `load_plain_yaml` rejects."""
    import yaml

    count, stack = 0, [(root, 0)]
    while stack:
        node, depth = stack.pop()
        count += 1
        if depth > MAX_YAML_DEPTH:
            raise yaml.YAMLError(f"more than {MAX_YAML_DEPTH} levels, or an alias in its anchor")
        if count > MAX_YAML_VALUES:
            raise yaml.YAMLError(f"its aliases expand to more than {MAX_YAML_VALUES:,} values")
        if isinstance(node, yaml.MappingNode):
            keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
            names: set[str] = set()
            for key in keys:
                if key.value in names:
                    line = key.start_mark.line + 1
                    raise yaml.YAMLError(f"the key {key.value!r} is repeated in line {line}")
                names.add(key.value)
            stack += [(child, depth + 1) for pair in node.value for child in pair]
        elif isinstance(node, yaml.SequenceNode):
            stack += [(child, depth + 1) for child in node.value]


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
