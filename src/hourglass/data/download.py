"""Download of one raw file from the first mirror that serves it complete."""

import http.client
import shutil
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from hourglass.core.errors import UserError, one_line

BLOCK_BYTES = 1 << 20


def download(
    name: str,
    folder: Path,
    mirrors: Sequence[str],
    is_valid: Callable[[Path], bool],
    timeout_seconds: float = 20.0,
) -> Path:
    """Download a file to `folder`/`name` atomically and return its path.

    `mirrors` are complete URLs, tried in this order. A file is accepted if it has the announced
    length and `is_valid` returns true for its path. `timeout_seconds` limits the time without data
    from a host. Raises a UserError if no mirror serves the file.
    """
    target = folder / name
    failures = []
    for url in mirrors:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            # One temporary folder per process: several may download the same file at once.
            with tempfile.TemporaryDirectory(prefix=".download-", dir=target.parent) as temporary:
                partial = Path(temporary, target.name)
                _fetch(url, partial, timeout_seconds)
                if not is_valid(partial):
                    raise ValueError("sent a file with other contents than the official one")
                partial.replace(target)
                return target
        except (OSError, http.client.HTTPException, ValueError) as error:
            cause = getattr(error, "reason", None)  # a URLError wraps its cause
            reason = one_line(cause if isinstance(cause, Exception) else error)
            failures.append(f"{url}: {reason}")
    raise UserError(
        f"{name} is missing in {folder} and no mirror serves it ({'; '.join(failures)}); connect "
        "to the network, put the file there, or set HOURGLASS_DATA to a folder that has it."
    )


def _fetch(url: str, partial: Path, timeout_seconds: float) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "hourglass"})
    with (
        urllib.request.urlopen(request, timeout=timeout_seconds) as response,
        partial.open("wb") as file,
    ):
        announced = response.headers.get("Content-Length")
        while block := response.read(BLOCK_BYTES):
            file.write(block)
            _show_progress(partial.name, file.tell(), announced)
        size = file.tell()
    if announced is not None and size != int(announced):
        raise ValueError(f"sent {size:,} of {int(announced):,} bytes")


def _show_progress(name: str, done: int, announced: str | None) -> None:
    """Overwrite the progress line if stderr is a terminal."""
    if sys.stderr.isatty():
        total = f" of {int(announced) / 1e6:.0f}" if announced else ""
        line = f"{name}: {done / 1e6:.0f}{total} MB"
        end = "\n" if announced and done >= int(announced) else ""
        width = shutil.get_terminal_size().columns - 1
        print(f"\r{line[:width]}", end=end, file=sys.stderr, flush=True)
