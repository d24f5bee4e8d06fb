"""The page docs/serving.md."""

from typing import Any

import pandas as pd

PAGE = """# Serving

Made by `{command}`: one worker of `mlflow models serve` on loopback,
{rows} rows of the test split a request, {seconds:.0f} s of load for each cell and form,
on {machine}. The clients share the machine with the server. {verdict}

{loads}

Every answer is compared with what the detector itself says of the same rows; one that differs, or
has another status than 200, is an error. p50 and p99 are what a client waits. The bare pass is the
network alone over {rows} rows that are scaled and in memory, one batch after the other; a request
has to be received, read, checked, scored, judged and answered as well.

*Read by MLflow* is the same server without Hourglass's reader of requests: MLflow then makes pandas
frames of JSON, checks them column by column, and writes frames back.

## Where the time goes

Of one request in the server's process, without HTTP; medians.

{parts}

What is left of p50 with one client is HTTP: uvicorn, FastAPI, and the client itself. Rows travel
best as `application/x-npy`, the bytes that `numpy.save` writes: images of uint8, tables with the
features in the detector's order.
"""


def page(
    command: str,
    machine: str,
    rows: int,
    seconds: float,
    loads: pd.DataFrame,
    parts: list[dict[str, Any]],
) -> str:
    """Return the page in Markdown."""
    errors, answers = int(loads["errors"].sum()), int(loads["answers"].sum())
    verdict = f"{answers:,} requests were answered, with {errors or 'no'} errors."
    formats = ("", "", "", "d", "d", "d", ".1f", ".1f", ",.0f", ".3f")
    return PAGE.format(
        command=command,
        rows=rows,
        seconds=seconds,
        machine=machine,
        verdict=verdict,
        loads=loads.to_markdown(index=False, floatfmt=formats),
        parts=pd.DataFrame(parts).to_markdown(index=False, floatfmt=".2f"),
    )
