"""Load tests of MLflow's scoring server: start a server, send requests, check the responses."""

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

START_TIMEOUT_SECONDS = 300
RELATIVE_TOLERANCE = 1e-5
KEYS = ("score", "threshold", "alarm", "p_value")
URI = "MLFLOW_TRACKING_URI"

# Like `mlflow models serve`, but with MLflow's own request handling.
STOCK_SERVER = """
import sys
import uvicorn
from mlflow.pyfunc import scoring_server
invocations = scoring_server.invocations
from mlflow.pyfunc.scoring_server.app import app
scoring_server.invocations = invocations
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]))
"""


@dataclass(frozen=True)
class Load:
    """One request and its expected predictions."""

    port: int
    body: bytes
    media_type: str
    expected: list[dict[str, Any]]

    def is_right(self, status: int, response: bytes) -> bool:
        """Return whether a response has the expected predictions."""
        if status != 200:
            return False
        predictions = json.loads(response)["predictions"]
        one, other = (
            np.array([[row[key] for key in KEYS] for row in rows], float)
            for rows in (predictions, self.expected)
        )
        return one.shape == other.shape and np.allclose(one, other, rtol=RELATIVE_TOLERANCE)


def send_requests(load: Load, clients: int, seconds: float) -> dict[str, float]:
    """Send requests from concurrent clients; return answers, errors and latencies in ms.

    A response equal to one that was right, byte by byte, is not parsed again: parsing would take
    time from the server.
    """
    latencies: list[float] = []
    errors: list[str] = []
    right: set[bytes] = set()
    end = time.perf_counter() + seconds

    def send() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", load.port, timeout=120)
        while (start := time.perf_counter()) < end:
            headers = {"Content-Type": load.media_type}
            connection.request("POST", "/invocations", load.body, headers)
            response = connection.getresponse()
            content = response.read()
            latencies.append(time.perf_counter() - start)
            if content not in right:
                if load.is_right(response.status, content):
                    right.add(content)
                else:
                    errors.append(content.decode()[:200])

    def client() -> None:
        try:
            send()
        except (OSError, http.client.HTTPException, ValueError) as error:
            errors.append(repr(error))

    threads = [threading.Thread(target=client) for _ in range(clients)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = time.perf_counter() - start
    for error in errors[:3]:
        print("error:", error)
    p50, p99 = 1000 * np.percentile(latencies, [50, 99])
    answers = len(latencies) - len(errors)
    return {"answers": answers, "errors": len(errors), "seconds": taken, "p50": p50, "p99": p99}


@contextmanager
def scoring_server(model: str, registry: str, stock: bool) -> Iterator[int]:
    """Serve a registered model from the registry in a folder; yield the port.

    A `stock` server reads requests with MLflow's code instead of Hourglass's.
    """
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    store = f"sqlite:///{registry}/mlflow.db"
    environment = {**os.environ, URI: store, "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = ["mlflow", "models", "serve", "-m", model, "--env-manager", "local"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    if stock:
        from mlflow.artifacts import download_artifacts

        folder = download_artifacts(model, dst_path=f"{registry}/model", tracking_uri=store)
        environment["__pyfunc_model_path__"] = folder
        command = [sys.executable, "-c", STOCK_SERVER, str(port)]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    try:
        _wait(process, port)
        yield port
    finally:
        os.killpg(process.pid, 15)
        process.wait()


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + START_TIMEOUT_SECONDS
    while process.poll() is None and time.monotonic() < end:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"the scoring server did not start on port {port}")
