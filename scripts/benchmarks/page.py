"""The page: what is asked and measured first, then every case."""

import os
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import pandas as pd
import torch

from benchmarks import page_fixed
from benchmarks.cases import KERAS, OURS, PYOD, TABLE
from benchmarks.markdown import markdown
from benchmarks.ratios import CASE, Tables, Target, number, ratio, spread, targets
from hourglass.core.atomic import write_text
from hourglass.data.credit_card import ROWS
from hourglass.networks.onednn_linear import PROCESSOR

VERSIONS = ("torch", "pytorch-lightning", "torchvision", "lightning-bolts")
MEGABYTE = 1e6


def write(path: Path, pictures: str, tables: Tables, command: str) -> None:
    """Write the page; `pictures` is their folder as seen from there."""
    table = tables.measurements
    parts = [
        _introduction(command),
        _targets(targets(tables)),
        f"![Throughput against everyone else's]({pictures}/training.png)\n",
        f"![Throughput by batch]({pictures}/batches.png)\n",
        _training(table),
        _others(table),
        _gpu(table),
        page_fixed.section(tables, f"{pictures}/imports.png"),
        _method(),
    ]
    write_text(path, "\n".join(parts))


def _introduction(command: str) -> str:
    peers = [name for each in (*KERAS, PYOD) for name in each.needs]
    versions = ", ".join(f"{name} {_version(name)}" for name in dict.fromkeys([*VERSIONS, *peers]))
    return f"""# Benchmark

Made by `{command}` on {os.cpu_count()} cores ({_processor()}) with
{torch.get_num_threads()} threads, Python {platform.python_version()}; {versions}.

Everything is measured in one run, in turns; a ratio is that of two measurements of the same round,
given as the median over rounds, with the least and the greatest. `{TABLE}` is **generated**:
{ROWS:,} rows, drawn again from the rows of the ULB card table that are at hand, and shaken.

## What is asked, and what was measured

How many times as fast Hourglass is as the one after the colon; a fixed cost is what a stage takes
beside its work.
"""


def _processor() -> str:
    """Return what Linux calls the processor, and how wide torch's own kernels are there."""
    lines = PROCESSOR.read_text().splitlines() if PROCESSOR.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return ", ".join([*names[:1], torch.backends.cpu.get_cpu_capability()])


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution).partition("+")[0]
    except metadata.PackageNotFoundError:
        return "(not installed)"


def _targets(found: Sequence[Target]) -> str:
    rows = [
        {
            "what": each.what,
            "at least": _asked(each.least, each.lower),
            "aim": _asked(each.aim, each.lower),
            "measured": spread(each.values),
            "reached": each.reached,
            "note": each.note,
        }
        for each in found
    ]
    return markdown(rows)


def _asked(value: float | None, lower: bool) -> str:
    if value is None:
        return ""
    return f"{'at most ' if lower else ''}{value:g}"


def _training(table: pd.DataFrame) -> str:
    return f"""## Training

`times as fast` is Hourglass beside that line. `quality` is the error of the validation samples and
the AUROC of the test split after the training: nobody wins by doing less. `memory` is the peak
above what the imports took, in MB; `needed` are the data as they are prepared, the model with its
gradients and Adam's moments, and a batch with all that the layers make of it.

{measured(table[(table.task == "train") & (table.device == "cpu")])}"""


def measured(table: pd.DataFrame) -> str:
    """Return a table of each case: speed, ratio, quality and memory of everyone."""
    rows = []
    for key, each in table.groupby(CASE, sort=False):
        case = dict(zip(CASE, key, strict=True))
        for contestant, own in each.groupby("contestant", sort=False):
            rows.append(_row(case, str(contestant), own, each))
    return markdown(rows)


def _row(
    case: dict[str, object], contestant: str, own: pd.DataFrame, everyone: pd.DataFrame
) -> dict[str, str]:
    """Return one line: who, how fast, how well, at what cost of memory."""
    first = str(everyone.contestant.iloc[0])
    batch = f", batch {case['batch_size']}" if case["batch_size"] else ", default batches"
    name = f"{case['network']} {case['data']}{batch}" if case["network"] else str(case["data"])
    about = {"case": name, "who": contestant}
    if own.seconds.isna().all():
        return about | {"seconds": str(own.reason.iloc[0])}
    return about | {
        "seconds": number(own.seconds.median()),
        "samples a second": number((own.samples / own.seconds).median()),
        "times as fast": "" if contestant == first else spread(ratio(everyone, contestant, first)),
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
    """Return the tables of what is no training."""
    cpu = table[table.device == "cpu"]
    return f"""## FittedScorer

Hourglass reads memory-mapped rows, scales, scores and checks them; the bare forward pass takes
scaled rows in memory, and counts the faster of batches of 2^18 and of 2^20 elements, whatever the
batch of the case. Hourglass gives each core batches of its own where there are convolutions
(`detection.passing`), and has the C library keep freed memory (`allocator`); that pass with its
memory kept stands beside it.

{measured(cpu[cpu.task == "score"])}
## Preparing

`prepare` reads, checks, splits, packs and fingerprints; the others read the same files into arrays
and do no more. `mnist` is that set and Fashion-MNIST.

{measured(cpu[cpu.task == "prepare"])}
## Data that does not fit into memory

An array of zeros that takes no space on disk, 3 x 64 x 64 uint8 a sample: read, batched and trained
on like any other, for some steps, by a process that may take 4 GiB.

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
    return f"{text}This machine has none, so these rows are empty.\n\n{markdown(rows)}"


def _method() -> str:
    return """## How it is measured

Every measurement is a process of its own. Before the clock starts it has imported what it needs and
done the same on a few samples. The clock of a training starts before the data is read, and stops
after the last epoch; all validate after each epoch, but for PyOD, which cannot, and scores its
training samples at the end. Where both train with PyTorch the networks are the same objects with
the same weights at the start; all take as many threads as Hourglass takes for such a batch
(`training/threads.py`). Hourglass has the C library keep what a batch freed for the next
(`allocator.py`); where "memory kept" is said, the bare loop has so too, by glibc's variables
`MALLOC_TRIM_THRESHOLD_` and `MALLOC_MMAP_THRESHOLD_`. Where the processor has AVX-512 and is not
Intel's, Hourglass multiplies matrices by oneDNN (`networks/linear.py`), and all others by what
torch takes for its own layer; "torch's products" is Hourglass without (`HOURGLASS_ONEDNN=off`),
which is what it is on any other processor. Lightning logs no file and shows no progress.
PyOD's batch norm, dropout and weight decay are off; it scales samples itself, as Hourglass does;
the activation that its network has behind the code is in all networks of the card table.
lightning-bolts' model trains on as many images of its own split, padded to 32 x 32. Workers' memory
is not counted where a DataLoader has them."""
