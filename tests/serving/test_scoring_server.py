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
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hourglass.cli.promote import promote
from hourglass.cli.score import score
from hourglass.data.prepared_data import Prepared
from tests.workspaces import DirectRecorder, calibrated, environment, kill, set_up, working_in

pytestmark = pytest.mark.servers

TABLE, IMAGES = ("breast_cancer", "linear"), ("digits", "linear")
ANSWER = ["score", "threshold", "alarm", "p_value"]


@pytest.fixture(scope="module")
def promoted(tmp_path_factory) -> Path:
    """Give a workspace with a champion of a table and one of images."""
    folder = set_up(tmp_path_factory.mktemp("serving") / "workspace")
    with working_in(folder, DirectRecorder):
        calibrated(TABLE, IMAGES)
        for cell in (TABLE, IMAGES):
            promote(*cell)
    return folder


def store(folder: Path) -> dict[str, str]:
    return {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}


@contextmanager
def serving(folder: Path, data: str) -> Iterator[str]:
    """Serve a champion; yield the URL of its predictions."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    variables = environment(**store(folder))
    variables.pop("PYTHONPATH", None)  # the server runs the code that was logged with the model
    with (folder / f"{data}.log").open("w") as log:
        process = subprocess.Popen(
            ["mlflow", "models", "serve", "-m", f"models:/hourglass-{data}@champion",
             "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)],
            cwd=folder, env=variables, stdout=log, stderr=log, text=True, start_new_session=True,
        )  # fmt: skip
    try:
        url = f"http://127.0.0.1:{port}"
        wait(process, f"{url}/ping", folder / f"{data}.log")
        yield f"{url}/invocations"
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


@pytest.fixture(scope="module")
def tables(promoted) -> Iterator[str]:
    with serving(promoted, TABLE[0]) as url:
        yield url


@pytest.fixture(scope="module")
def images(promoted) -> Iterator[str]:
    with serving(promoted, IMAGES[0]) as url:
        yield url


def send(url: str, body: bytes, kind: str = "application/json") -> tuple[int, str]:
    request = urllib.request.Request(url, body, {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def predictions(answer: tuple[int, str]) -> pd.DataFrame:
    status, text = answer
    assert status == 200, text
    found = pd.DataFrame(json.loads(text)["predictions"])
    assert list(found) == ANSWER
    return found


def samples(folder: Path, data: str) -> np.ndarray:
    return np.array(Prepared.open(folder / "data/prepared" / data).split("test").x[:100])


def frame(folder: Path) -> pd.DataFrame:
    card = Prepared.open(folder / "data/prepared" / TABLE[0]).card
    return pd.DataFrame(samples(folder, TABLE[0]), columns=card["feature_names"]).astype(float)


def scored(folder: Path, cell: tuple[str, str], file: Path) -> pd.DataFrame:
    """Return the output of `hourglass score`."""
    with working_in(folder):
        out = score(*cell, file, file.with_suffix(".out.parquet"), heat_maps=0)
    return pd.read_parquet(out)[ANSWER]


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-5)


def test_predictions_for_a_table_equal_those_of_score(promoted, tables, tmp_path):
    rows = frame(promoted)
    rows.to_csv(tmp_path / "new.csv", index=False)
    expected = scored(promoted, TABLE, tmp_path / "new.csv")
    turned = rows[rows.columns[::-1]].assign(comment="none").to_dict("split", index=False)
    same(predictions(send(tables, json.dumps({"dataframe_split": turned}).encode())), expected)
    content = (tmp_path / "new.csv").read_bytes()
    same(predictions(send(tables, content, "text/csv")), expected)


def test_predictions_for_images_equal_those_of_score(promoted, images, tmp_path):
    x = samples(promoted, IMAGES[0])
    np.savez(tmp_path / "new.npz", x=x)
    np.save(tmp_path / "new.npy", x)
    expected = scored(promoted, IMAGES, tmp_path / "new.npz")
    same(predictions(send(images, json.dumps({"inputs": x.tolist()}).encode())), expected)
    content = (tmp_path / "new.npy").read_bytes()
    same(predictions(send(images, content, "application/x-npy")), expected)


BAD = {
    "nothing": (b"", "application/json", 400),
    "no JSON": (b"{", "application/json", 400),
    "no rows": (b'{"inputs": []}', "application/json", 400),
    "a missing column": (b'{"dataframe_records": [{"a": 1}]}', "application/json", 400),
    "text for a column": (b'{"inputs": {"a": ""}}', "application/json", 400),
    "broken CSV": (b"a,b\n1\n", "text/csv", 400),
    "another type": (b"abc", "text/html", 415),
    "too large": (b" " * ((64 << 20) + 1), "application/json", 413),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_request_is_refused_in_one_sentence(tables, what):
    body, kind, status = BAD[what]
    received, text = send(tables, body, kind)
    assert received == status
    assert "Traceback" not in text
    sentence = json.loads(text)["message"]
    assert sentence.endswith(".")
    assert "\n" not in sentence


def test_scaled_images_are_refused_instead_of_rounded_to_black(promoted, images):
    x = samples(promoted, IMAGES[0]) / 16
    status, text = send(images, json.dumps({"inputs": x.tolist()}).encode())
    assert status == 400
    assert "whole numbers" in json.loads(text)["message"]


def test_the_server_keeps_running_after_bad_requests(promoted, tables):
    rows = frame(promoted).to_dict("split", index=False)
    assert len(predictions(send(tables, json.dumps({"dataframe_split": rows}).encode()))) == 100
    log = (promoted / f"{TABLE[0]}.log").read_text()
    assert "Traceback" not in log


def test_a_served_model_imports_no_trainer(promoted):
    program = (
        "import mlflow, sys\n"
        "mlflow.pyfunc.load_model(sys.argv[1])\n"
        "print({name.split('.')[0] for name in sys.modules} & {*sys.argv[2:]})\n"
    )
    trainers = ["pytorch_lightning", "lightning_fabric", "torchvision", "optuna", "dvc"]
    found = subprocess.run(
        [sys.executable, "-c", program, f"models:/hourglass-{TABLE[0]}@champion", *trainers],
        env=environment(**store(promoted)), cwd=promoted, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert found.stdout.splitlines()[-1] == "set()"


SPARK = """
import json, sys
import mlflow, numpy, pandas
from pyspark.sql import SparkSession
from pyspark.sql.functions import struct
uri, file, out, kind = sys.argv[1:]
spark = (
    SparkSession.builder.master("local[2]").appName("hourglass")
    .config("spark.ui.enabled", "false").config("spark.driver.host", "127.0.0.1")
    .config("spark.driver.bindAddress", "127.0.0.1").getOrCreate()
)
spark.sparkContext.setLogLevel("ERROR")
udf = mlflow.pyfunc.spark_udf(spark, uri, env_manager="local")
if kind == "table":
    rows = spark.createDataFrame(pandas.read_parquet(file)).repartition(3)
    found = rows.withColumn("answer", udf(struct(*[c for c in rows.columns if c != "row"])))
else:
    x = numpy.load(file)
    flat = [(i, each.ravel().tolist()) for i, each in enumerate(x)]
    found = spark.createDataFrame(flat, ["row", "pixels"]).repartition(3)
    found = found.withColumn("answer", udf("pixels"))
found.select("row", "answer.*").toPandas().sort_values("row").to_parquet(out)
spark.stop()
"""


@pytest.fixture(scope="module")
def spark() -> str:
    """Give the path of a Python with pyspark: this one, or HOURGLASS_SPARK_PYTHON."""
    named = os.environ.get("HOURGLASS_SPARK_PYTHON")
    if not named and importlib.util.find_spec("pyspark") is None:
        pytest.skip("pyspark is not installed: pip install 'hourglass[spark]', or name a Python "
                    "that has it by HOURGLASS_SPARK_PYTHON")  # fmt: skip
    if not shutil.which("java"):
        pytest.skip("Spark needs Java, and there is none on the path")
    return named or sys.executable


def on_spark(promoted: Path, python: str, data: str, file: Path, kind: str) -> pd.DataFrame:
    out = file.with_suffix(".spark.parquet")
    done = subprocess.run(
        [python, "-c", SPARK, f"models:/hourglass-{data}@champion", str(file), str(out), kind],
        env=environment(**store(promoted), PYSPARK_PYTHON=python, PYSPARK_DRIVER_PYTHON=python),
        cwd=promoted, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return pd.read_parquet(out)[ANSWER].reset_index(drop=True)


def test_spark_predictions_for_a_table_equal_those_of_score(promoted, spark, tmp_path):
    rows: Any = frame(promoted)
    rows.to_csv(tmp_path / "new.csv", index=False)
    expected = scored(promoted, TABLE, tmp_path / "new.csv")
    rows[rows.columns[::-1]].assign(row=range(len(rows))).to_parquet(tmp_path / "new.parquet")
    same(on_spark(promoted, spark, TABLE[0], tmp_path / "new.parquet", "table"), expected)


def test_spark_predictions_for_images_equal_those_of_score(promoted, spark, tmp_path):
    x = samples(promoted, IMAGES[0])
    np.savez(tmp_path / "new.npz", x=x)
    np.save(tmp_path / "new.npy", x)
    expected = scored(promoted, IMAGES, tmp_path / "new.npz")
    same(on_spark(promoted, spark, IMAGES[0], tmp_path / "new.npy", "images"), expected)
