"""Download of one raw file from the first mirror that serves it complete."""

import http.client
import shutil
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hourglass.core.errors import UserError, one_line


@contextmanager
def download(
    target: Path,
    mirrors: Sequence[str],
    is_valid: Callable[[Path], bool],
    timeout_seconds: float = 20.0,
) -> Iterator[Path]:
    """Yield a temporary file from a mirror, to be moved or unpacked to `target`.

    `mirrors` are complete URLs, tried in this order. A file is accepted if it has the announced
    length and `is_valid` returns true for its path. `timeout_seconds` limits the time without data
    from a host. Raises a UserError if no mirror serves the file.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # One folder per process: several may download the same file at once.
        folder = tempfile.TemporaryDirectory(prefix=".download-", dir=target.parent)
    except OSError as error:
        raise cannot_download(target, one_line(error)) from error
    with folder:
        path = Path(folder.name, target.name)
        failures = []
        for url in mirrors:
            try:
                _fetch(url, path, timeout_seconds)
                if is_valid(path):
                    break
                failures.append(f"{url}: sent a file with other contents than the official one")
            except (OSError, http.client.HTTPException, ValueError) as error:
                cause = getattr(error, "reason", None)  # a URLError wraps its cause
                reason = one_line(cause if isinstance(cause, Exception) else error)
                failures.append(f"{url}: {reason}")
        else:
            raise cannot_download(target, "; ".join(failures))
        yield path


def cannot_download(target: Path, reason: str) -> UserError:
    """Return a UserError for a file that is missing, with a remedy."""
    return UserError(
        f"{target} is missing and cannot be downloaded ({reason}); connect to the network, put the "
        "file there, or set HOURGLASS_DATA to a folder that has it."
    )


def _fetch(url: str, path: Path, timeout_seconds: float) -> None:
    from hourglass.core.progress_bar import ProgressBar

    request = urllib.request.Request(url, headers={"User-Agent": "hourglass"})
    with urllib.request.urlopen(request, timeout=timeout_seconds) as response:
        announced = response.length
        with (
            ProgressBar.wrapattr(response, "read", announced, desc=path.name) as content,
            path.open("wb") as file,
        ):
            shutil.copyfileobj(content, file)
    size = path.stat().st_size
    if announced is not None and size != announced:
        raise ValueError(f"sent {size:,} of {announced:,} bytes")
