"""Write JSON files with a checksum, so that a file that was damaged later is never used.

DVC compares times and sizes only, and models, servers and other machines have no DVC. So a JSON
file carries the SHA-256 of its own content, and the SHA-256 of the binary files that belong to it.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from hourglass.core.atomic import sha256, write_text

CHECKSUM_KEY = "checksum"  # always the last key of the file
# The errors that json, safetensors, torch and Python raise for a damaged or foreign file.
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
    """Say as part of a sentence which file differs from what was written."""


def write_with_checksum(path: Path, value: Mapping[str, Any]) -> None:
    """Write a mapping as indented JSON with its checksum; raise a ValueError for NaN."""
    write_text(path, dump_with_checksum(value))


def dump_with_checksum(value: Mapping[str, Any]) -> str:
    """Return the text of a JSON file with a checksum: the same bytes for the same mapping."""
    content = {key: value[key] for key in value if key != CHECKSUM_KEY}
    return _dump({**content, CHECKSUM_KEY: hashlib.sha256(_dump(content).encode()).hexdigest()})


def read_with_checksum(path: Path) -> dict[str, Any]:
    """Return the mapping that `write_with_checksum` wrote, without its checksum.

    Raises a CorruptFileError if any byte differs, and an OSError if the file cannot be read.
    """
    return parse_with_checksum(path.read_bytes(), path.name)


def parse_with_checksum(content: bytes, name: str) -> dict[str, Any]:
    """Return the mapping in the bytes of a file of that name, or raise a CorruptFileError."""
    try:
        value = json.loads(content, parse_constant=_refuse_constant)
        checksum = value.pop(CHECKSUM_KEY, None)
        intact = dump_with_checksum(value).encode() == content
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise CorruptFileError(f"{name} is not a JSON object with a checksum") from None
    if checksum is None:
        raise CorruptFileError(f"{name} has no checksum, so another version wrote it")
    if not intact:
        raise CorruptFileError(f"{name} is corrupt: its checksum does not match")
    return dict(value)


def file_checksums(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of files below a folder, by name."""
    return {name: _cached_sha256(folder / name) for name in names}


def verify_checksums(folder: Path, files: Mapping[str, str]) -> None:
    """Raise a CorruptFileError for the first of `files`, name to SHA-256, that differs.

    Raises an OSError for a missing file.
    """
    for name, expected in files.items():
        if _cached_sha256(folder / name) != expected:
            raise CorruptFileError(f"{name} is corrupt: its checksum does not match")


def _cached_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, which is read once per process unless it was written since."""
    stat = path.stat()
    version = (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    return _sha256(path.absolute(), *version)


@cache
def _sha256(path: Path, *version: int) -> str:
    return sha256(path)


def _dump(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
