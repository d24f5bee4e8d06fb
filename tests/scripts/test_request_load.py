"""The load generator of scripts/serving.py."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from request_load import Load, send_requests

RIGHT = [{"score": 1.0, "threshold": 2.0, "alarm": False, "p_value": 0.5}]


@pytest.fixture
def port() -> Iterator[int]:
    """Give the port of a server whose responses are right, with the changes in the request."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            content = json.dumps({"predictions": [{**RIGHT[0], **request["changes"]}]}).encode()
            self.send_response(request["status"])
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def load(port: int, status: int = 200, **changes: object) -> dict[str, float]:
    body = json.dumps({"status": status, "changes": changes}).encode()
    return send_requests(Load(port, body, "application/json", RIGHT), clients=2, seconds=0.1)


def test_right_answers_are_counted(port):
    measured = load(port)
    assert measured["answers"] > 2
    assert measured["errors"] == 0
    assert 0 < measured["p50"] <= measured["p99"]


@pytest.mark.parametrize("wrong", [{"score": 1.001}, {"alarm": True}, {"status": 500}])
def test_wrong_answers_are_errors(port, wrong):
    measured = load(port, **wrong)
    assert measured["answers"] == 0
    assert measured["errors"] > 2
