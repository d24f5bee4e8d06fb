"""Put load on MLflow's scoring server with a champion in it, and write docs/serving.md.

    python scripts/serving.py                  # after `dvc repro`; some ten minutes
    python scripts/serving.py --cells mnist/convolutional --seconds 20 --out build/serving.md

One worker, on loopback, 100 rows a request, all from the test split. Clients send the next request
when they have the answer to the last, each over a connection that stays open, from threads of one
other process. Every answer is compared with what the detector itself says. The registry is a
temporary one. The bare pass is the network alone over the same 100 rows, scaled and in memory.
"""

import argparse
import io
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from servings import page
from servings.load import Load, press
from servings.server import scoring_server

from hourglass.cli.promote import promote
from hourglass.core.atomic import write_text
from hourglass.core.paths import Cell
from hourglass.data.prepared import Prepared
from hourglass.detection.detector import Detector

ROWS = 100  # of a request
CLIENTS = (1, 4, 16)
ROUNDS = 300  # of what is measured without a server
CELLS = ["breast_cancer/undercomplete", "digits/convolutional"]
ROOT = Path(__file__).parents[1]


def main() -> None:
    """Measure every cell in every form, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", nargs="+", default=CELLS, help="each a data set/a variant")
    parser.add_argument("--seconds", type=float, default=60, help="of load, for each form")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/serving.md")
    arguments = parser.parse_args()
    loads, parts = [], []
    for name in arguments.cells:
        cell = Cell(*name.split("/"))
        with tempfile.TemporaryDirectory() as registry:
            os.environ["DVC_ROOT"] = registry  # where the record is kept; stages are not run
            # MLflow leaves the one before in the environment.
            os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{registry}/mlflow.db?timeout=20"
            promote(cell.data, cell.model)
            parts += _parts(cell)
            loads += _loads(cell, registry, arguments.seconds)
    shown = " ".join(arguments.cells) if arguments.cells != CELLS else ""
    command = "python scripts/serving.py" + (f" --cells {shown}" if shown else "")
    machine = f"{os.cpu_count()} CPU cores, Python {platform.python_version()}"
    text = page.page(command, machine, ROWS, arguments.seconds, pd.DataFrame(loads), parts)
    write_text(arguments.out, text)
    print(text)


def _requests(cell: Cell) -> tuple[np.ndarray, dict[str, tuple[bytes, str]]]:
    """Return samples of the test split, (ROWS, *S), and them as requests: body and media type."""
    prepared = Prepared.open(cell.prepared)
    x = np.array(prepared.split("test").x[:ROWS])
    names = prepared.card["feature_names"]
    file = io.BytesIO()
    np.save(file, x)
    binary = {"npy": (file.getvalue(), "application/x-npy")}
    if not names:
        return x, {
            "JSON": (json.dumps({"inputs": x.tolist()}).encode(), "application/json"),
            **binary,
        }
    frame = pd.DataFrame(x, columns=names)
    table = json.dumps({"dataframe_split": frame.to_dict("split", index=False)}).encode()
    csv = frame.to_csv(index=False).encode()
    return x, {"JSON": (table, "application/json"), "CSV": (csv, "text/csv"), **binary}


def _loads(cell: Cell, registry: str, seconds: float) -> list[dict[str, Any]]:
    """Return a row for each form, reader and number of clients."""
    _, forms = _requests(cell)
    expected, bare = _expected(cell), _bare(cell)
    rows = []
    for own in (True, False):  # false: MLflow reads the requests
        with scoring_server(f"models:/hourglass-{cell.data}@champion", registry, own) as port:
            for form, (body, kind) in forms.items():
                if not own and (form == "npy" or (form == "JSON") != (kind == "application/json")):
                    continue  # which MLflow does not know
                for clients in CLIENTS if own else CLIENTS[1:2]:
                    load = Load(port, body, kind, expected)
                    found = press(load, clients, seconds / len(CLIENTS))
                    rows.append(_row(cell, form, own, clients, found, bare))
                    print(rows[-1])
    return rows


def _row(
    cell: Cell, form: str, own: bool, clients: int, found: dict[str, float], bare: float
) -> dict[str, Any]:
    rate = ROWS * found["answers"] / found["seconds"]
    return {
        "cell": cell.name,
        "form": form,
        "read by": "Hourglass" if own else "MLflow",
        "clients": clients,
        "answers": int(found["answers"]),
        "errors": int(found["errors"]),
        "p50, ms": found["p50"],
        "p99, ms": found["p99"],
        "rows a second": rate,
        "of the bare pass": rate / bare,
    }


def _expected(cell: Cell) -> list[dict[str, Any]]:
    """Return what each answer must say, by the detector itself."""
    from hourglass.serving.pyfunc import Served

    x, _ = _requests(cell)
    found = Served(Detector.of_cell(cell)).answers(x)
    rows = zip(*(column.tolist() for column in found.values()), strict=True)
    return [dict(zip(found, row, strict=True)) for row in rows]


def _bare(cell: Cell) -> float:
    """Return the rows a second of the network alone."""
    x, _ = _requests(cell)
    scoring = Detector.of_cell(cell).scoring
    batch = torch.from_numpy(scoring.scaling(x))
    with torch.inference_mode():
        return ROWS / _median(scoring.network, batch)


def _parts(cell: Cell) -> list[dict[str, Any]]:
    """Return what one request costs in the server's process, part by part, in ms."""
    from hourglass.serving import requests, server
    from hourglass.serving.pyfunc import Served

    x, forms = _requests(cell)
    served, rows = Served(Detector.of_cell(cell)), []
    for form, (body, kind) in forms.items():
        read = _median(requests.samples, body, kind, served.detector)
        score = _median(served.answers, x)
        whole = _median(server.answer, served, body, kind)
        parts = {"read": read, "score": score, "write": max(whole - read - score, 0.0)}
        rows.append(
            {"cell": cell.name, "form": form, "kB": len(body) / 1000}
            | {f"{part}, ms": 1000 * seconds for part, seconds in parts.items()}
            | {"bare pass, ms": 1000 * ROWS / _bare(cell)}
        )
    return rows


def _median(action: Callable[..., Any], *arguments: Any) -> float:
    """Return the median of the seconds that an action takes."""
    action(*arguments)
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        action(*arguments)
        taken.append(time.perf_counter() - start)
    return float(np.median(taken))


if __name__ == "__main__":
    main()
