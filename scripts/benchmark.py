"""Compare training with the bare PyTorch loop, and find what a stage costs beside its work.

    python scripts/benchmark.py                # needs HOURGLASS_DATA with MNIST

Writes reports/benchmark.md. Figures are ratios within one run: machines are noisy.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytorch_lightning as pl
import torch
import yaml
from torch.nn import functional

from hourglass.models.undercomplete import Undercomplete

ROOT = Path(__file__).parents[1]
EPOCHS, BATCH_SIZE, REPEATS = 5, 256, 5


def main() -> None:
    """Measure and write the page."""
    with tempfile.TemporaryDirectory() as folder:
        _workspace(Path(folder))
        rows = _throughput() + _fixed_costs()
    text = "# Benchmark\n\n`python scripts/benchmark.py` on "
    text += f"{os.cpu_count()} cores, torch {torch.__version__}, {torch.get_num_threads()} threads."
    text += "\n\n| what | median | range |\n| --- | --- | --- |\n" + "\n".join(rows) + "\n"
    path = ROOT / "reports" / "benchmark.md"
    path.write_text(text, encoding="utf-8")
    print(text)


def _workspace(folder: Path) -> None:
    """Make a folder like the project's, with prepared data, and go there."""
    (folder / "configs").symlink_to(ROOT / "configs")
    (folder / "params.yaml").write_text((ROOT / "params.yaml").read_text(encoding="utf-8"))
    os.environ["HOURGLASS_DATA"] = str(Path(os.environ["HOURGLASS_DATA"]).absolute())
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    os.chdir(folder)
    for data in ("mnist", "digits"):
        _stage("prepare", data)


def _stage(*arguments: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, ROOT / "src/hourglass", *arguments], check=True)
    return time.perf_counter() - start


def _throughput() -> list[str]:
    """Train dense 784-256-32-256-784 both ways, in turn, and return the row of ratios."""
    ratios, bares = [], []
    for repeat in range(REPEATS + 1):
        bare, ours = _bare_loop(), _ours()
        if repeat:  # the first round warms up
            ratios.append(bare / ours)
            bares.append(bare / EPOCHS)
    return [
        _row("training throughput against the bare loop, MNIST, dense, batch 256", ratios, "x"),
        _row("the bare loop, an epoch", bares, " s"),
    ]


def _module() -> Undercomplete:
    return Undercomplete((1, 28, 28), latent_dim=32, hidden=(256,), schedule="constant")


def _bare_loop() -> float:
    from hourglass.data.packed import Prepared

    pl.seed_everything(0, verbose=False)
    # Without Lightning, which sets it, nobody's loop asks NVML at each step whether there is a GPU.
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"
    network = _module().network
    start = time.perf_counter()
    x = torch.from_numpy(Prepared.open(Path("data/prepared/mnist")).split("train").x.copy())
    optimizer = torch.optim.Adam(network.parameters(), 1e-3, fused=True)
    for _ in range(EPOCHS):
        for indices in torch.randperm(len(x)).split(BATCH_SIZE):
            batch = x[indices] / 255
            loss = functional.mse_loss(network(batch), batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return time.perf_counter() - start


def _ours() -> float:
    from hourglass.data.datamodule import DataModule
    from hourglass.settings import CellSettings, Training
    from hourglass.training.fitting import fit, make_trainer

    pl.seed_everything(0, verbose=False)
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    training = Training(BATCH_SIZE, EPOCHS, EPOCHS)
    trainer = {"accelerator": "cpu", "devices": 1, "limit_val_batches": 1}
    settings = CellSettings("mnist", "undercomplete", "", {}, training, trainer, 0)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        fit(*make_trainer(settings, Path(folder), None), _module(), DataModule("mnist"))
        return time.perf_counter() - start


def _fixed_costs() -> list[str]:
    """Return rows of each stage's wall time on the small digits, and of `import torch`."""
    walls: dict[str, list[float]] = {"import torch": []}
    for _ in range(REPEATS):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import torch"], check=True)
        walls["import torch"].append(time.perf_counter() - start)
        for stage in ("train", "calibrate-threshold", "evaluate"):
            wall = _stage(stage, "digits", "undercomplete")
            walls.setdefault(stage, []).append(wall - _work(stage))
    return [_row(f"fixed cost of {name}", values, " s") for name, values in walls.items()]


def _work(stage: str) -> float:
    """Return the seconds that a stage itself counts as its work; calibrating takes no time."""
    cell = Path("runs/digits/undercomplete")
    if stage == "train":
        return yaml.safe_load((cell / "training.json").read_text())["seconds"]
    if stage == "evaluate":
        return yaml.safe_load((cell / "timing.json").read_text())["evaluate"]["seconds"]
    return 0.0


def _row(what: str, values: list[float], unit: str) -> str:
    low, high = min(values), max(values)
    return f"| {what} | {statistics.median(values):.2f}{unit} | {low:.2f} to {high:.2f} |"


if __name__ == "__main__":
    main()
