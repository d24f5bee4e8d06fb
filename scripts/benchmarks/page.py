"""The benchmark page: targets first, then every case."""

import os
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import pandas as pd
import torch

from benchmarks.cases import KERAS, OURS, PYOD, TABLE
from benchmarks.fixed import EPOCHS, STAGES, TORCH
from benchmarks.ratios import CASE, Tables, Target, markdown, number, ratio, spread, targets
from hourglass.core.atomic import write_text
from hourglass.data.credit_card import OFFICIAL_ROWS as ROWS
from hourglass.networks.onednn_linear import PROCESSOR

VERSIONS = ("torch", "pytorch-lightning", "torchvision", "lightning-bolts")
MEGABYTE = 1e6


def write(path: Path, pictures: str, tables: Tables, command: str) -> None:
    """Write the page; `pictures` is the folder of its figures, relative to the page."""
    table = tables.measurements
    parts = [
        _introduction(command),
        _targets(targets(tables)),
        f"![Throughput compared with the peers]({pictures}/training.png)\n",
        f"![Throughput by batch size]({pictures}/batches.png)\n",
        _training(table),
        _others(table),
        _gpu(table),
        _fixed_costs(tables.costs),
        _method(),
    ]
    write_text(path, "\n".join(parts))


def _introduction(command: str) -> str:
    peers = [name for each in (*KERAS, PYOD) for name in each.needs]
    versions = ", ".join(f"{name} {_version(name)}" for name in dict.fromkeys([*VERSIONS, *peers]))
    return f"""# Benchmark

Made by `{command}` on {os.cpu_count()} cores ({_processor()}) with
{torch.get_num_threads()} threads, Python {platform.python_version()}; {versions}.

All contestants alternate within one run. A ratio is of two measurements of the same round; the page
gives the median over rounds, with the range. `{TABLE}` is **generated**: {ROWS:,} rows, resampled
with noise from the available rows of the ULB card table.

## Targets and measurements

The speed of Hourglass in multiples of the contestant after the colon; a fixed cost is the time of a
stage without its work.
"""


def _processor() -> str:
    """Return the processor's name on Linux, and the CPU capability of torch's kernels."""
    lines = PROCESSOR.read_text().splitlines() if PROCESSOR.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return ", ".join([*names[:1], torch.backends.cpu.get_cpu_capability()])


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution).partition("+")[0]
    except metadata.PackageNotFoundError:
        return "(not installed)"


def _targets(rows: Sequence[Target]) -> str:
    cells = [
        {
            "what": each.what,
            "required": _target(each.least, each.lower),
            "aim": _target(each.aim, each.lower),
            "measured": spread(each.values),
            "reached": each.reached,
            "note": each.note,
        }
        for each in rows
    ]
    return markdown(cells)


def _target(value: float | None, lower: bool) -> str:
    if value is None:
        return ""
    return f"{'at most ' if lower else ''}{value:g}"


def _training(table: pd.DataFrame) -> str:
    return f"""## Training

`speed-up` is the speed of Hourglass in multiples of that row. `quality` is the error on the
validation samples and the AUROC on the test split after the training, which shows that all do the
same work. `memory` is the peak less that after the imports, in MB; `needed` is the size of the
prepared data, the model with its gradients and Adam's moments, and a batch with all activations.

{measured(table[(table.task == "train") & (table.device == "cpu")])}"""


def measured(table: pd.DataFrame) -> str:
    """Return a table of all cases: speed, ratio, quality and memory of all contestants."""
    rows = []
    for key, in_case in table.groupby(CASE, sort=False):
        case = dict(zip(CASE, key, strict=True))
        for contestant, own in in_case.groupby("contestant", sort=False):
            rows.append(_row(case, str(contestant), own, in_case))
    return markdown(rows)


def _row(
    case: dict[str, object], contestant: str, own: pd.DataFrame, in_case: pd.DataFrame
) -> dict[str, str]:
    """Return one row: case, contestant, speed, quality and memory."""
    first = str(in_case.contestant.iloc[0])
    batch = f", batch {case['batch_size']}" if case["batch_size"] else ", default batches"
    name = f"{case['network']} {case['data']}{batch}" if case["network"] else str(case["data"])
    about = {"case": name, "contestant": contestant}
    if own.seconds.isna().all():
        return about | {"seconds": str(own.reason.iloc[0])}
    return about | {
        "seconds": number(own.seconds.median()),
        "samples per second": number((own.samples / own.seconds).median()),
        "speed-up": "" if contestant == first else spread(ratio(in_case, contestant, first)),
        "quality": _quality(own),
        "memory": number(own.peak_bytes.median() / MEGABYTE),
        "needed": _needed(own),
    }


def _quality(own: pd.DataFrame) -> str:
    if "validation_error" not in own or own.validation_error.isna().all():
        return ""
    return f"{own.validation_error.median():.4f}, {own.AUROC.median():.3f}"


def _needed(own: pd.DataFrame) -> str:
    if own.data_bytes.isna().all():
        return ""
    data, model = (own[name].median() / MEGABYTE for name in ("data_bytes", "model_bytes"))
    if (own.task == "stream").all():
        return f"{number(model)} (of data {number(data)})"
    return f"{number(data + model)} (data {number(data)})"


def _others(table: pd.DataFrame) -> str:
    """Return the sections on scoring, preparing and streaming."""
    cpu = table[table.device == "cpu"]
    return f"""## Scoring

Hourglass reads memory-mapped rows, scales, scores and checks them. The bare forward pass has scaled
rows in memory; the faster of batches of 2^18 and 2^20 elements counts. Hourglass computes batches
of convolutional networks on separate cores (`detection/inference.py`) and makes the C library reuse
freed memory (`core/memory_allocator.py`); a bare pass with that setting is listed as well.

{measured(cpu[cpu.task == "score"])}
## Preparing

`prepare` reads, checks, splits, packs and fingerprints; the peers only read the same files into
arrays. `mnist` includes Fashion-MNIST, its anomalies.

{measured(cpu[cpu.task == "prepare"])}
## Data larger than memory

Some training steps on a sparse array of zeros, 3 x 64 x 64 uint8 per sample, in a process limited
to 4 GiB of memory.

{measured(cpu[cpu.task == "stream"])}"""


def _gpu(table: pd.DataFrame) -> str:
    text = "## On a GPU\n\n"
    cuda = table[table.device == "cuda"]
    if len(cuda):
        return f"{text}{torch.cuda.get_device_name()}; times are absolute.\n\n{measured(cuda)}"
    names = [
        f"{network}, batch {size}"
        for network in ("dense", "convolutional", "card")
        for size in (256, 4096)
    ]
    rows = [{"training": name, OURS.name: "", "bare PyTorch loop": ""} for name in names]
    return f"{text}This machine has no GPU, so these rows are empty.\n\n{markdown(rows)}"


def _fixed_costs(costs: pd.DataFrame) -> str:
    rows = [{"what": f"`{TORCH}`", "seconds": spread(costs[TORCH].to_numpy())}]
    for stage in STAGES:
        row = {"what": f"`{stage}`", "seconds": spread(costs[stage].to_numpy())}
        row[f"multiples of `{TORCH}`"] = spread((costs[stage] / costs[TORCH]).to_numpy())
        rows.append(row)
    return f"""## The fixed cost of a stage

One cell, `digits` x `undercomplete`, {EPOCHS} epochs: the time of a process from start to end, less
the work that it reports (`train`, `evaluate`); all time of the other stages counts as fixed. It
includes the wait for the process that writes to MLflow.

{markdown(rows)}"""


def _method() -> str:
    return """## How it is measured

Every measurement is a process of its own. The clock starts after the imports and a round on a few
samples; it includes reading the data and stops after the last epoch. All contestants validate after
each epoch, except PyOD, which scores its training samples at the end instead. Contestants that use
PyTorch share the same network class with the same initial weights, and the number of threads that
Hourglass uses for such a batch (`training/cpu_tuning.py`). Hourglass makes the C library reuse
freed memory (`core/memory_allocator.py`); contestants with "memory kept" do the same by the
variables `MALLOC_TRIM_THRESHOLD_` and `MALLOC_MMAP_THRESHOLD_`. On processors with AVX-512 that are
not Intel's, Hourglass multiplies matrices by oneDNN (`networks/onednn_linear.py`), the peers by the
default of torch; "torch's products" is Hourglass without oneDNN (`HOURGLASS_ONEDNN=off`), as on any
other processor. Lightning writes no logs and shows no progress. PyOD's batch norm, dropout and
weight decay are off; like Hourglass, it scales the samples itself; all networks of the card table
have PyOD's activation after the code. The model of lightning-bolts trains on as many images of its
own split, padded to 32 x 32. The memory of DataLoader workers is not counted."""
