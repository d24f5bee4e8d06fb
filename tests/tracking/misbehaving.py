"""Servers on loopback that break the protocol of MLflow, each in one way."""

import contextlib
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

DRIP_SECONDS = 0.1  # between two bytes of a slow answer


def _answer(status: str, body: bytes, *headers: str) -> Callable[[socket.socket], None]:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return lambda connection: connection.sendall("\r\n".join([*lines, "", ""]).encode() + body)


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _drip(connection: socket.socket) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 10**6:
        connection.sendall(bytes([byte]))
        time.sleep(DRIP_SECONDS)


def _no_answer(connection: socket.socket) -> None:
    time.sleep(600)


def _endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b"[" * 10**5)
        time.sleep(0.01)


LATE = ("slow", "no answer", "endless")  # only a time limit ends a request
BEHAVIOURS: dict[str, Callable[[socket.socket], None]] = {
    "401": _answer("401 Unauthorized", b""),
    "404": _answer("404 Not Found", b""),
    "503": _answer("503 Service Unavailable", b""),
    "object": _answer("200 OK", b"{}"),
    "list": _answer("200 OK", b"[]"),
    "number": _answer("200 OK", b"1"),
    "null": _answer("200 OK", b"null"),
    "string": _answer("200 OK", b'"text"'),
    "wrong types": _answer("200 OK", b'{"experiment": [1], "runs": 2, "run": "x"}'),
    "HTML": _answer("200 OK", b"<html><body>Sign in</body></html>", "Content-Type: text/html"),
    "redirects": _answer("302 Found", b"", "Location: /"),
    "reset": _reset,
    "slow": _drip,
    "no answer": _no_answer,
    "endless": _endless,
}


@contextmanager
def misbehaving(behaviour: str, healthy: bool = False) -> Iterator[str]:
    """Give the address of a server; `healthy` if it answers the health check as MLflow does."""
    answer, health = BEHAVIOURS[behaviour], _answer("200 OK", b"OK")

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):  # the client has ended
                line = self.request.recv(65536)
                (health if healthy and b" /health " in line else answer)(self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads, block_on_close, request_queue_size = True, False, 64

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
