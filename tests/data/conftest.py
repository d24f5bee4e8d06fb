"""Shared fixtures: idx files and a web server on the loopback device."""

import os
import struct
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from hourglass.data.image_sets import ImageSet

REAL = os.environ.get("HOURGLASS_DATA")
SHORT = "/short"  # a page that ends before its announced length


def real_data(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test that reads the real data sets."""
    skip = pytest.mark.skipif(REAL is None, reason="HOURGLASS_DATA is not set: no real data")
    return pytest.mark.real_data(skip(test))


@pytest.fixture
def write_idx() -> Callable[[Path, np.ndarray], Path]:
    def write(path: Path, values: np.ndarray) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        shape = struct.pack(f">{values.ndim}I", *values.shape)
        path.write_bytes(bytes([0, 0, 8, values.ndim]) + shape + values.astype(np.uint8).tobytes())
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
def host(monkeypatch) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yield the URL of a server and its pages: path -> body."""
    monkeypatch.setenv("no_proxy", "*")
    pages: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path not in pages:
                self.send_error(404)
                return
            body = pages[self.path]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body) + 5 * (self.path == SHORT)))
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
