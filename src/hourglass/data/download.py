"""Download one raw file from the first mirror that gives it whole."""

import hashlib
import http.client
import shutil
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from hourglass.core.errors import UserError, one_line

CHUNK = 1 << 20  # bytes


def fetch(
    name: str,
    folder: Path,
    mirrors: Sequence[str],
    md5: str | None = None,
    check: Callable[[Path], bool] | None = None,
    timeout: float = 20.0,
) -> Path:
    """Download `folder`/`name` and return its path; it is there whole and checked, or not at all.

    `mirrors` are complete URLs, tried in this order. A file counts where its length is the one the
    host announced, its MD5 is `md5` and `check` of its path is true. `timeout` is how many seconds
    a host may stay silent. A UserError where no mirror gives the file.
    """
    target = folder / name
    failures = []
    for url in mirrors:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            # A folder of its own, as several processes may download the same file at once.
            with tempfile.TemporaryDirectory(prefix=".download-", dir=target.parent) as temporary:
                part = Path(temporary, target.name)
                _download(url, part, timeout)
                _verify(part, md5, check)
                part.replace(target)
                return target
        except (OSError, http.client.HTTPException, ValueError) as error:
            failures.append(f"{url}: {_reason(error)}")
    raise UserError(
        f"{name} is neither in {folder} nor to be had from its mirrors ({'; '.join(failures)}); "
        "connect to the network, put the file there, or set HOURGLASS_DATA to a folder that "
        "has it."
    )


def _download(url: str, part: Path, timeout: float) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "hourglass"})
    with urllib.request.urlopen(request, timeout=timeout) as response, part.open("wb") as file:
        announced = response.headers.get("Content-Length")
        while block := response.read(CHUNK):
            file.write(block)
            _show(part.name, file.tell(), announced)
        size = file.tell()
    if announced is not None and size != int(announced):
        raise ValueError(f"sent {size:,} of {int(announced):,} bytes")


def _reason(error: Exception) -> str:
    cause = getattr(error, "reason", None)  # a URLError wraps what went wrong
    return one_line(cause if isinstance(cause, Exception) else error)


def _show(name: str, done: int, announced: str | None) -> None:
    """Write the progress over the line before, where a person watches."""
    if sys.stderr.isatty():
        of = f" of {int(announced) / 1e6:.0f}" if announced else ""
        line = f"{name}: {done / 1e6:.0f}{of} MB"
        end = "\n" if announced and done >= int(announced) else ""
        width = shutil.get_terminal_size().columns - 1
        print(f"\r{line[:width]}", end=end, file=sys.stderr, flush=True)


def _verify(part: Path, md5: str | None, check: Callable[[Path], bool] | None) -> None:
    if md5 is not None:
        with part.open("rb") as file:
            # MD5 is what the publishers give; said to be no safeguard, FIPS systems allow it.
            digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
        if digest.hexdigest() != md5:
            raise ValueError(f"sent a file with MD5 {digest.hexdigest()} instead of {md5}")
    if check is not None and not check(part):
        raise ValueError("sent a file with other contents than the official one")
