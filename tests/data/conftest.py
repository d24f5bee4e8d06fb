"""What the tests of the readers share: refusals, idx files, a host on the loopback device."""

import random
import struct
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hourglass.core.errors import UserError


@pytest.fixture
def refusal() -> Callable[..., str]:
    """Give a function that calls its argument and returns the one sentence it is refused with."""

    def call(action: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
        with pytest.raises(UserError) as caught:
            action(*args, **kwargs)
        sentence = str(caught.value)
        assert sentence.endswith(".")
        assert ". " not in sentence
        assert "\n" not in sentence
        return sentence

    return call


@pytest.fixture
def damage() -> Callable[[bytes], Iterator[bytes]]:
    """Give a function that yields 200 damaged copies: bytes changed, some of them cut off too."""

    def copies(whole: bytes) -> Iterator[bytes]:
        rng = random.Random(0)
        for _ in range(200):
            damaged = bytearray(whole)
            for _ in range(rng.randint(1, 4)):
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
            cut = rng.randint(0, len(damaged)) if rng.random() < 0.3 else len(damaged)
            yield bytes(damaged[:cut])

    return copies


def idx_bytes(values: np.ndarray) -> bytes:
    shape = struct.pack(f">{values.ndim}I", *values.shape)
    return bytes([0, 0, 8, values.ndim]) + shape + values.astype(np.uint8).tobytes()


@pytest.fixture
def write_idx() -> Callable[[Path, np.ndarray], Path]:
    def write(path: Path, values: np.ndarray) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(idx_bytes(values))
        return path

    return write


@pytest.fixture
def write_set(write_idx) -> Callable[..., None]:
    """Give a function that writes the four files of a set; image i is filled with labels[i]."""

    def write(raw: Path, stems: tuple[str, str], train: list[int], test: list[int]) -> None:
        for stem, labels in zip(stems, (train, test), strict=True):
            images = np.repeat(labels, 28 * 28).reshape(-1, 28, 28)
            write_idx(raw / f"{stem}-images-idx3-ubyte", images)
            write_idx(raw / f"{stem}-labels-idx1-ubyte", np.array(labels))

    return write


@pytest.fixture
def host(monkeypatch) -> Iterator[tuple[str, dict[str, tuple[bytes, int]]]]:
    """Give the URL of a host and its pages: path to (body, bytes announced beyond the body's)."""
    monkeypatch.setenv("no_proxy", "*")
    pages: dict[str, tuple[bytes, int]] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path not in pages:
                self.send_error(404)
                return
            body, beyond = pages[self.path]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body) + beyond))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", pages
    server.shutdown()
    thread.join()
    server.server_close()
