"""Shared fixtures: damaged files, idx files, a web server on the loopback device."""

import random
import struct
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from hourglass.data.image_sets import ImageSet


@pytest.fixture
def damage() -> Callable[[bytes], Iterator[bytes]]:
    """Return a function that yields 200 damaged copies: bytes changed, some also cut short."""

    def copies(content: bytes) -> Iterator[bytes]:
        rng = random.Random(0)
        for _ in range(200):
            damaged = bytearray(content)
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
    """Return a function that writes the files of an image set; image i is filled with labels[i]."""

    def write(folder: Path, image_set: ImageSet, train: list[int], test: list[int]) -> None:
        raw = folder / image_set.folder
        for files, labels in ((image_set.files[:2], train), (image_set.files[2:], test)):
            write_idx(raw / files[0], np.repeat(labels, 28 * 28).reshape(-1, 28, 28))
            write_idx(raw / files[1], np.array(labels))

    return write


@pytest.fixture
def host(monkeypatch) -> Iterator[tuple[str, dict[str, tuple[bytes, int]]]]:
    """Yield the URL of a server and its pages: path -> (body, surplus of the announced length)."""
    monkeypatch.setenv("no_proxy", "*")
    pages: dict[str, tuple[bytes, int]] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path not in pages:
                self.send_error(404)
                return
            body, surplus = pages[self.path]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body) + surplus))
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
