"""Measure latency and throughput of MLflow's scoring server; writes docs/benchmarks/serving.md.

    python scripts/serving.py                  # after `dvc repro`; ten minutes
    python scripts/serving.py --cells mnist/convolutional --seconds 20 --out build/serving.md

One worker serves a champion on loopback. A request has 100 rows of the test split. The clients are
threads of another process; each sends its next request after the response to the last, over one
connection. Every response is compared with the detector's predictions. The registry is temporary.
The bare forward pass is the network on the same 100 rows, scaled and in memory.
"""

import io
import json
import os
import platform
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from common import ROOT, argument_parser, median_seconds, write_page
from request_load import URI, Load, scoring_server, send_requests

from hourglass.cli.promote import promote
from hourglass.core.paths import Cell
from hourglass.data.prepared_data import Prepared
from hourglass.data.readers.chunks import chunks_in_memory
from hourglass.detection.detector import Detector

ROWS_PER_REQUEST = 100
CLIENTS = (1, 4, 16)
ROUNDS = 300  # of measurements without a server
CELLS = ["breast_cancer/undercomplete", "digits/convolutional"]
PAGE = """# Serving

Made by `{command}`: one worker of `mlflow models serve` on loopback,
{rows} rows of the test split per request, {seconds:.0f} s of load per cell and format,
on {machine}. The clients share the machine with the server. {verdict}

{loads}

A response that differs from the detector's predictions for the same rows, or has another status
than 200, is an error. p50 and p99 are latencies at a client. The bare pass is the network on {rows}
rows that are scaled and in memory, one batch after the other; a request is also received, parsed,
checked, scored and answered.

*Read by MLflow* is the same server without Hourglass's request parser: MLflow then converts JSON to
pandas frames, checks them column by column, and converts frames back.

## Time per request

Median times of one request in the server's process, without HTTP.

{parts}

The rest of p50 with one client is HTTP: uvicorn, FastAPI, and the client. The fastest format is
`application/x-npy`, the bytes that `numpy.save` writes: images of uint8, or tables with features in
the detector's order.
"""


def main() -> None:
    """Measure every cell in every format, and write the page."""
    parser = argument_parser(__doc__)
    parser.add_argument("--cells", nargs="+", default=CELLS, help="each as <data>/<model>")
    parser.add_argument("--seconds", type=float, default=60, help="of load per format")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/benchmarks/serving.md")
    arguments = parser.parse_args()
    loads, parts = [], []
    for name in arguments.cells:
        cell = Cell(*name.split("/"))
        with tempfile.TemporaryDirectory() as registry:
            os.environ["DVC_ROOT"] = registry  # folder of the tracking store; no stage runs
            # MLflow leaves the previous one in the environment.
            os.environ[URI] = f"sqlite:///{registry}/mlflow.db?timeout=20"
            promote(cell.data, cell.model)
            parts += _parts(cell)
            loads += _loads(cell, registry, arguments.seconds)
    chosen = f" --cells {' '.join(arguments.cells)}" if arguments.cells != CELLS else ""
    write_page(arguments.out, _page(chosen, arguments.seconds, pd.DataFrame(loads), parts))


def _page(chosen: str, seconds: float, loads: pd.DataFrame, parts: list[dict[str, Any]]) -> str:
    errors, answers = int(loads["errors"].sum()), int(loads["answers"].sum())
    formats = ("", "", "", "d", "d", "d", ".1f", ".1f", ",.0f", ".3f")
    return PAGE.format(
        command=f"python scripts/serving.py{chosen}",
        rows=ROWS_PER_REQUEST,
        seconds=seconds,
        machine=f"{os.cpu_count()} CPU cores, Python {platform.python_version()}",
        verdict=f"{answers:,} requests were answered, with {errors or 'no'} errors.",
        loads=loads.to_markdown(index=False, floatfmt=formats),
        parts=pd.DataFrame(parts).to_markdown(index=False, floatfmt=".2f"),
    )


def _requests(cell: Cell) -> tuple[np.ndarray, dict[str, tuple[bytes, str]]]:
    """Return test samples, (N, *S), and the same samples as request bodies with media types."""
    prepared = Prepared.open(cell.prepared)
    x = np.array(prepared.split("test").x[:ROWS_PER_REQUEST])
    names = prepared.card["feature_names"]
    file = io.BytesIO()
    np.save(file, x)
    if not names:
        formats = {"JSON": (json.dumps({"inputs": x.tolist()}).encode(), "application/json")}
    else:
        frame = pd.DataFrame(x, columns=names)
        table = json.dumps({"dataframe_split": frame.to_dict("split", index=False)}).encode()
        csv = frame.to_csv(index=False).encode()
        formats = {"JSON": (table, "application/json"), "CSV": (csv, "text/csv")}
    return x, {**formats, "npy": (file.getvalue(), "application/x-npy")}


def _loads(cell: Cell, registry: str, seconds: float) -> list[dict[str, Any]]:
    """Return one row per format, request parser and number of clients."""
    expected, bare = _expected(cell), _bare_rows_per_second(cell)
    rows = []
    for stock in (False, True):
        with scoring_server(f"models:/hourglass-{cell.data}@champion", registry, stock) as port:
            for name, (body, media_type) in _requests(cell)[1].items():
                if stock and name == "npy":  # unknown to MLflow
                    continue
                for clients in CLIENTS[1:2] if stock else CLIENTS:
                    load = Load(port, body, media_type, expected)
                    measured = send_requests(load, clients, seconds / len(CLIENTS))
                    rate = ROWS_PER_REQUEST * measured["answers"] / measured["seconds"]
                    rows.append(
                        {
                            "cell": cell.name,
                            "format": name,
                            "read by": "MLflow" if stock else "Hourglass",
                            "clients": clients,
                            "answers": int(measured["answers"]),
                            "errors": int(measured["errors"]),
                            "p50, ms": measured["p50"],
                            "p99, ms": measured["p99"],
                            "rows per second": rate,
                            "share of the bare pass": rate / bare,
                        }
                    )
                    print(rows[-1])
    return rows


def _expected(cell: Cell) -> list[dict[str, Any]]:
    """Return the detector's predictions for a request."""
    from hourglass.serving.pyfunc import DetectorModel

    detector, x = Detector.of_cell(cell), _requests(cell)[0]
    chunk = next(chunks_in_memory(x, detector))
    columns = DetectorModel(detector).columns(chunk)
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _bare_rows_per_second(cell: Cell) -> float:
    scoring = Detector.of_cell(cell).scoring
    batch = torch.from_numpy(scoring.scaling(_requests(cell)[0]))
    with torch.inference_mode():
        return ROWS_PER_REQUEST / median_seconds(ROUNDS, scoring.network, batch)


def _parts(cell: Cell) -> list[dict[str, Any]]:
    """Return the milliseconds of each part of a request in the server's process."""
    from hourglass.serving import requests, server
    from hourglass.serving.pyfunc import DetectorModel

    x, formats = _requests(cell)
    model, rows = DetectorModel(Detector.of_cell(cell)), []
    for name, (body, media_type) in formats.items():
        read = median_seconds(ROUNDS, requests.parse_request, body, media_type, model.detector)
        score = median_seconds(ROUNDS, model.columns, x)
        whole = median_seconds(ROUNDS, server.respond, model, body, media_type)
        parts = {"read": read, "score": score, "write": max(whole - read - score, 0.0)}
        rows.append(
            {"cell": cell.name, "format": name, "kB": len(body) / 1000}
            | {f"{part}, ms": 1000 * duration for part, duration in parts.items()}
            | {"bare pass, ms": 1000 * ROWS_PER_REQUEST / _bare_rows_per_second(cell)}
        )
    return rows


if __name__ == "__main__":
    main()
