"""`mlflow models serve` and Spark as real processes on loopback."""

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
import pytest

from hourglass.cli.promote import promote
from hourglass.cli.score import score
from hourglass.data.prepared_data import Prepared
from tests.workspaces import DirectRecorder, calibrated, environment, kill, set_up, working_in

pytestmark = pytest.mark.servers

Request: TypeAlias = tuple[bytes, str]  # body and media type
JSON = "application/json"
CELLS = {"table": ("breast_cancer", "linear"), "images": ("digits", "linear")}
COLUMNS = ["score", "threshold", "alarm", "p_value"]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Path:
    """Give a workspace with a champion of a table and one of images."""
    folder = set_up(tmp_path_factory.mktemp("serving") / "workspace")
    with working_in(folder, DirectRecorder):
        calibrated(*CELLS.values())
        for cell in CELLS.values():
            promote(*cell)
    return folder


def variables(folder: Path, **more: str) -> dict[str, str]:
    return environment(MLFLOW_TRACKING_URI=f"sqlite:///{folder}/mlflow.db", **more)


def model_uri(kind: str) -> str:
    return f"models:/hourglass-{CELLS[kind][0]}@champion"


@pytest.fixture(scope="module", params=CELLS)
def server(request, workspace) -> Iterator[tuple[str, str, Path]]:
    """Serve a champion; give its kind of samples, the URL of its predictions, and the log."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    environ = variables(workspace, HOURGLASS_MAX_REQUEST_ROWS="1000")
    environ.pop("PYTHONPATH", None)  # the server runs the code that was logged with the model
    command = ["mlflow", "models", "serve", "-m", model_uri(request.param), "--env-manager"]
    command += ["local", "--host", "127.0.0.1", "--port", str(port)]
    log = workspace / f"{request.param}.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            command,
            cwd=workspace,
            env=environ,
            stdout=file,
            stderr=file,
            text=True,
            start_new_session=True,
        )
    try:
        wait(process, f"http://127.0.0.1:{port}/ping", log)
        yield request.param, f"http://127.0.0.1:{port}/invocations", log
    finally:
        kill(process)


def wait(process: subprocess.Popen[str], url: str, log: Path) -> None:
    end = time.monotonic() + 300
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(log.read_text())


def send(url: str, body: bytes, media_type: str) -> tuple[int, str]:
    request = urllib.request.Request(url, body, {"Content-Type": media_type})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def predictions(url: str, request: Request) -> pd.DataFrame:
    status, text = send(url, *request)
    assert status == 200, text
    return pd.DataFrame(json.loads(text)["predictions"])


def samples(workspace: Path, kind: str) -> tuple[np.ndarray, list[str]]:
    prepared = Prepared.open(workspace / "data/prepared" / CELLS[kind][0])
    return np.array(prepared.split("test").x[:100]), prepared.card["feature_names"]


def written(workspace: Path, kind: str, folder: Path) -> tuple[Path, Path, list[Request]]:
    """Write samples for `hourglass score` and for Spark; return both files, and requests."""
    x, names = samples(workspace, kind)
    if kind == "images":
        np.savez(folder / "new.npz", x=x)
        np.save(folder / "new.npy", x)
        inputs = json.dumps({"inputs": x.tolist()}).encode()
        npy = (folder / "new.npy").read_bytes(), "application/x-npy"
        return folder / "new.npz", folder / "new.npy", [(inputs, JSON), npy]
    rows = pd.DataFrame(x, columns=names).astype(float)
    rows.to_csv(folder / "new.csv", index=False)
    reordered = rows[rows.columns[::-1]]
    reordered.assign(row=range(len(rows))).to_parquet(folder / "new.parquet")
    split = {"dataframe_split": reordered.assign(comment="none").to_dict("split", index=False)}
    csv = (folder / "new.csv").read_bytes(), "text/csv"
    return folder / "new.csv", folder / "new.parquet", [(json.dumps(split).encode(), JSON), csv]


def assert_scored(table: pd.DataFrame, workspace: Path, kind: str, file: Path) -> None:
    """Compare predictions with the output of `hourglass score` for a file."""
    with working_in(workspace):
        out = score(*CELLS[kind], file, file.with_suffix(".out.parquet"), heat_maps=0)
    reasons = ["reasons"] if kind == "table" else []
    assert list(table) == COLUMNS + reasons
    assert all((table[name].fillna("") != "").equals(table["alarm"] > 0) for name in reasons)
    expected = pd.read_parquet(out)[COLUMNS]
    pd.testing.assert_frame_equal(table[COLUMNS], expected, check_dtype=False, rtol=1e-5)


def test_predictions_equal_those_of_score(workspace, server, tmp_path):
    kind, url, _ = server
    file, _, requests = written(workspace, kind, tmp_path)
    for request in requests:
        assert_scored(predictions(url, request), workspace, kind, file)


NPY_HEADER = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1001, 8, 8)}"
ROWS_1001 = b"\x93NUMPY\x01\x00" + len(NPY_HEADER).to_bytes(2, "little") + NPY_HEADER
BAD: list[tuple[int, Request]] = [
    (400, (b"", JSON)),
    (400, (b"{", JSON)),
    (400, (b'{"inputs": []}', JSON)),
    (400, (b'{"dataframe_records": [{"a": 1}]}', JSON)),
    (400, (b'{"inputs": {"a": ""}}', JSON)),
    (400, (b"a,b\n1\n", "text/csv")),
    (415, (b"abc", "text/html")),
    (413, (ROWS_1001, "application/x-npy")),
    (413, (b" " * ((16 << 20) + 1), JSON)),
]


def test_bad_requests_are_refused_in_one_sentence_and_do_not_stop_the_server(
    workspace, server, tmp_path
):
    kind, url, log = server
    for status, request in BAD:
        received, text = send(url, *request)
        assert received == status
        sentence = json.loads(text)["message"]
        assert sentence.endswith(".")
        assert "\n" not in sentence
    *_, requests = written(workspace, kind, tmp_path)
    assert len(predictions(url, requests[0])) == 100
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("server", ["images"], indirect=True)
def test_scaled_images_are_refused_instead_of_rounded_to_black(workspace, server):
    scaled = samples(workspace, "images")[0] / 16
    status, text = send(server[1], json.dumps({"inputs": scaled.tolist()}).encode(), JSON)
    assert status == 400
    assert "whole numbers" in json.loads(text)["message"]


def test_a_served_model_imports_no_trainer(workspace):
    program = (
        "import mlflow, sys\n"
        "mlflow.pyfunc.load_model(sys.argv[1])\n"
        "print({name.split('.')[0] for name in sys.modules} & {*sys.argv[2:]})\n"
    )
    trainers = ["pytorch_lightning", "lightning_fabric", "torchvision", "optuna", "dvc"]
    command = [sys.executable, "-c", program, model_uri("table"), *trainers]
    output = subprocess.check_output(command, env=variables(workspace), cwd=workspace, text=True)
    assert output.splitlines()[-1] == "set()"


SPARK = """
import sys
import mlflow, numpy, pandas
from pyspark.sql import SparkSession
from pyspark.sql.functions import struct
uri, file, out = sys.argv[1:]
spark = (
    SparkSession.builder.master("local[2]").appName("hourglass")
    .config("spark.ui.enabled", "false").config("spark.driver.host", "127.0.0.1")
    .config("spark.driver.bindAddress", "127.0.0.1").getOrCreate()
)
spark.sparkContext.setLogLevel("ERROR")
predict = mlflow.pyfunc.spark_udf(spark, uri, env_manager="local")
if file.endswith(".parquet"):
    rows = spark.createDataFrame(pandas.read_parquet(file))
    prediction = predict(struct(*[name for name in rows.columns if name != "row"]))
else:
    pixels = [(i, image.ravel().tolist()) for i, image in enumerate(numpy.load(file))]
    rows, prediction = spark.createDataFrame(pixels, ["row", "pixels"]), predict("pixels")
table = rows.repartition(3).withColumn("prediction", prediction).select("row", "prediction.*")
table.toPandas().sort_values("row").to_parquet(out)
spark.stop()
"""


@pytest.fixture(scope="module")
def spark() -> str:
    """Give the path of a Python with pyspark: this one, or HOURGLASS_SPARK_PYTHON."""
    named = os.environ.get("HOURGLASS_SPARK_PYTHON")
    if not named and importlib.util.find_spec("pyspark") is None:
        pytest.skip(
            "pyspark is not installed: pip install 'hourglass[spark]', or set "
            "HOURGLASS_SPARK_PYTHON to a Python that has it"
        )
    if not shutil.which("java"):
        pytest.skip("Spark needs Java, which is not on the path")
    return named or sys.executable


@pytest.mark.parametrize("kind", CELLS)
def test_spark_predictions_equal_those_of_score(workspace, spark, kind, tmp_path):
    file, spark_file, _ = written(workspace, kind, tmp_path)
    environ = variables(workspace, PYSPARK_PYTHON=spark, PYSPARK_DRIVER_PYTHON=spark)
    command = [spark, "-c", SPARK, model_uri(kind), spark_file, tmp_path / "out.parquet"]
    subprocess.run(command, env=environ, cwd=workspace, timeout=600, check=True)
    reasons = ["reasons"] if kind == "table" else []
    table = pd.read_parquet(tmp_path / "out.parquet")[COLUMNS + reasons].reset_index(drop=True)
    assert_scored(table, workspace, kind, file)
