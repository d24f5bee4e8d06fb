"""A scoring server in a process of its own, with one worker, on loopback."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager

PATIENT = 300  # seconds to wait for it
URI = "MLFLOW_TRACKING_URI"

# As `mlflow models serve` runs it, but that MLflow reads the requests.
STOCK = """
import sys
import uvicorn
from mlflow.pyfunc import scoring_server
invocations = scoring_server.invocations
from mlflow.pyfunc.scoring_server.app import app
scoring_server.invocations = invocations
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]))
"""


@contextmanager
def scoring_server(model: str, registry: str, own: bool) -> Iterator[int]:
    """Serve a registered model from the registry in a folder; yield the port.

    Without `own` MLflow reads the requests, not Hourglass.
    """
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    store = {URI: f"sqlite:///{registry}/mlflow.db"}
    environment = {**os.environ, **store, "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = ["mlflow", "models", "serve", "-m", model, "--env-manager", "local"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    if not own:
        from mlflow.artifacts import download_artifacts

        folder = download_artifacts(
            model, dst_path=f"{registry}/model", tracking_uri=store["MLFLOW_TRACKING_URI"]
        )
        environment["__pyfunc_model_path__"] = folder
        command = [sys.executable, "-c", STOCK, str(port)]
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
    end = time.monotonic() + PATIENT
    while process.poll() is None and time.monotonic() < end:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"the scoring server did not start on port {port}")
