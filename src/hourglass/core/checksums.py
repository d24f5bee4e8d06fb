"""Seal what is written, so that a file that was damaged since is never taken for it.

DVC notices a file whose time or size has changed, and trusts all others; models, servers and other
machines have no DVC. So a JSON file carries a digest of itself, its seal, and the SHA-256 of the
binary files beside it that it speaks for.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from hourglass.core.atomic import sha256, write_text

SEAL = "seal"  # the key that bears it, always the last one
# What a damaged or foreign file makes json, safetensors, torch and Python raise.
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
    """Say in half a sentence which file is not as it was written."""


def write_with_checksum(path: Path, value: Mapping[str, Any]) -> None:
    """Write a mapping as indented JSON with its seal; NaN is refused with a ValueError."""
    write_text(path, dump_with_checksum(value))


def dump_with_checksum(value: Mapping[str, Any]) -> str:
    """Return the text of a sealed file: the same bytes for the same mapping."""
    own = {key: each for key, each in value.items() if key != SEAL}
    return _text({**own, SEAL: hashlib.sha256(_text(own).encode()).hexdigest()})


def read_with_checksum(path: Path) -> dict[str, Any]:
    """Return the mapping that `write_with_checksum` wrote, without its seal.

    Every byte counts, as the text is written once more and compared. Raises CorruptFileError where it is
    another, and an OSError where there is none.
    """
    return parse_with_checksum(path.read_bytes(), path.name)


def parse_with_checksum(content: bytes, name: str) -> dict[str, Any]:
    """Return the mapping in the bytes of a sealed file of that name, or raise CorruptFileError."""
    try:
        value = json.loads(content, parse_constant=_refuse)
        seal = value.pop(SEAL, None)
        whole = dump_with_checksum(value).encode() == content
    except (ValueError, AttributeError, TypeError, RecursionError):
        raise CorruptFileError(f"{name} is no dump_with_checksum JSON") from None
    if seal is None:
        raise CorruptFileError(f"{name} bears no seal, as it would had this version written it")
    if not whole:
        raise CorruptFileError(f"{name} is not as it was written")
    return dict(value)


def file_checksums(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of files below a folder, by name, to be kept in a sealed file."""
    return {name: _once(folder / name) for name in names}


def verify_checksums(folder: Path, files: Mapping[str, str]) -> None:
    """Raise CorruptFileError for the first of `files`, name to SHA-256, that is another; OSError for none."""
    for name, digest in files.items():
        if _once(folder / name) != digest:
            raise CorruptFileError(f"{name} is not as it was written")


def _once(path: Path) -> str:
    """Return the SHA-256 of a file, which is read once a process, unless it was written since."""
    stat = path.stat()
    return _read(path.absolute(), stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


@cache
def _read(path: Path, *version: int) -> str:
    return sha256(path)


def _text(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=2, allow_nan=False) + "\n"


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
