"""JSON files with a checksum, so that later damage is detected when a file is read.

DVC does not detect damage reliably: it compares only times and sizes. Exported models and servers
run without DVC. Each JSON file therefore holds the SHA-256 of its content and of the binary files
that belong to it.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from hourglass.core.atomic import dump_json, sha256, write_text

CHECKSUM_KEY = "checksum"  # always the last key of the file
# Errors that json, safetensors, torch and Python raise for a damaged file or another format.
CORRUPT_FILE_ERRORS = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    ImportError,
    RuntimeError,
)


class CorruptFileError(ValueError):
    """A damaged file; the message is a clause without a period, for use inside a sentence."""


def write_with_checksum(path: Path, value: Mapping[str, Any]) -> None:
    """Write a mapping as indented JSON with its checksum; raise a ValueError for NaN."""
    write_text(path, dump_with_checksum(value))


def dump_with_checksum(value: Mapping[str, Any]) -> str:
    """Return a mapping as JSON text with its checksum; the same mapping gives the same text."""
    content = {key: value[key] for key in value if key != CHECKSUM_KEY}
    checksum = hashlib.sha256(dump_json(content).encode()).hexdigest()
    return dump_json({**content, CHECKSUM_KEY: checksum})


def read_with_checksum(path: Path) -> dict[str, Any]:
    """Return the mapping that `write_with_checksum` wrote, without its checksum.

    Raises a CorruptFileError if any byte differs, and an OSError if the file cannot be read.
    """
    name, content = path.name, path.read_bytes()
    try:
        value: dict[str, Any] = json.loads(content)
        checksum = value.pop(CHECKSUM_KEY, None)
        intact = dump_with_checksum(value).encode() == content
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise CorruptFileError(f"{name} is not a JSON object with a checksum") from None
    if checksum is None:
        raise CorruptFileError(f"{name} has no checksum, so another version wrote it")
    if not intact:
        raise CorruptFileError(f"{name} is corrupt: its checksum does not match")
    return value


def file_checksums(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of the named files in a folder, by name."""
    return {name: _cached_sha256(folder / name) for name in names}


def verify_checksums(folder: Path, files: Mapping[str, str]) -> None:
    """Raise a CorruptFileError for the first file that differs from its SHA-256.

    `files` maps names in `folder` to SHA-256. Raises an OSError for a missing file.
    """
    for name, expected in files.items():
        if _cached_sha256(folder / name) != expected:
            raise CorruptFileError(f"{name} is corrupt: its checksum does not match")


def _cached_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, cached in this process until the file changes."""
    stat = path.stat()
    version = (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    return _sha256(path.absolute(), version)


@cache
def _sha256(path: Path, version: tuple[int, ...]) -> str:
    return sha256(path)
