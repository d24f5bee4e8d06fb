"""Train the variants of the default grid on the four large data sets and write docs/results.md.

    python scripts/results.py         # needs HOURGLASS_DATA; an hour and a half on two cores

Works in build/results, a workspace of its own, and goes on where it was stopped.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import yaml
from workspace import ROOT, enter

from hourglass.core.paths import (
    LEADERBOARD,
    Cell,
    baselines_file,
    prepared_folder,
    references_folder,
)
from hourglass.core.yaml_config import import_class, resolve
from hourglass.data.prepared import Prepared
from hourglass.evaluation.baselines import flat, pca
from hourglass.evaluation.report.leaderboard import markdown
from hourglass.models.base import LitAutoencoder
from hourglass.stages.baselines import baselines
from hourglass.stages.calibrate_threshold import calibrate_threshold
from hourglass.stages.compare import compare
from hourglass.stages.evaluate import evaluate
from hourglass.stages.prepare import prepare
from hourglass.stages.references import references
from hourglass.stages.study import study
from hourglass.stages.train import train
from hourglass.tracking.stage_records import EVALUATED
from hourglass.training.cell_settings import resolve_cell

DATA = ["mnist", "fashion_mnist", "emnist", "credit_card"]
MODELS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["models"]
LINEAR = {f"linear_{size}": size for size in (8, 16, 32)}  # beside PCA, on MNIST


def main() -> None:
    """Run what is missing and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", default=DATA)
    data = parser.parse_args().data
    _workspace(data)
    for name in data:
        if not prepared_folder(name).exists():
            prepare(name)
        if not baselines_file(name).exists():
            baselines(name)
        if not references_folder(name).exists():
            references(name)
        for model in [*MODELS, *(LINEAR if name == "mnist" else {})]:
            _run(Cell(name, model))
    compare()
    _write(data)


def _run(cell: Cell) -> None:
    """Take a cell through the stages that are missing."""
    trained = _trained(cell)
    if not trained:
        print(f"{cell.name}: train", flush=True)
        train(cell.data, cell.model)
    if not (trained and all((cell / name).exists() for name in (*EVALUATED, "figures"))):
        print(f"{cell.name}: calibrate and evaluate", flush=True)
        calibrate_threshold(cell.data, cell.model)
        evaluate(cell.data, cell.model)
    if cell.model in MODELS and not (trained and (cell / "study").exists()):
        print(f"{cell.name}: study", flush=True)
        study(cell.data, cell.model)


def _trained(cell: Cell) -> bool:
    """Return whether a cell was trained with the settings as they are now.

    One that was added since counts by its default, which leaves everything as it was before.
    """
    if not (cell / "train/settings.yaml").exists():
        return False
    settings = yaml.safe_load((cell / "train/settings.yaml").read_text(encoding="utf-8"))
    shape = Prepared.open(prepared_folder(cell.data)).sample_shape
    now = asdict(resolve_cell(cell, shape))
    kind = import_class(now["class_path"], LitAutoencoder, cell.name)
    defaults = resolve(kind, {}, cell.name, {"sample_shape": list(shape)})
    return bool(settings | {"init_args": defaults | settings["init_args"]} == now)


def _workspace(data: list[str]) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params |= {"data": data, "models": MODELS, "study": {"credit_card": True}}
    enter(ROOT / "build" / "results")
    for name, size in LINEAR.items():
        variant = {
            "class_path": "hourglass.models.linear.Linear",
            "init_args": {"latent_dim": size},
        }
        Path("configs/model", f"{name}.yaml").write_text(yaml.safe_dump(variant))
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


def _write(data: list[str]) -> None:
    table = pd.read_csv(LEADERBOARD)
    notes = [_note(name) for name in data]
    text = "# Results\n\nMade by `python scripts/results.py`; seed 0, settings of configs/.\n"
    text += "Baselines are in italics, 95 % bootstrap intervals in brackets.\n\n"
    text += "".join(f"- {note}\n" for note in notes) + "\n"
    text += markdown(table) + "\n"
    if "mnist" in data:
        text += f"\n{_one_shoe()}\n\n{_linear_against_pca()}\n"
    (ROOT / "docs" / "results.md").write_text(text, encoding="utf-8")
    print(text)


def _note(data: str) -> str:
    card = Prepared.open(prepared_folder(data)).card
    test, source = card["splits"]["test"], card["source"]
    counts = f"{test['normal']:,} normal and {test['anomalies']:,} anomalous test samples"
    return f"`{data}`: {source.get('subset', 'complete')}; split by {card['split_by']}; {counts}"


def _one_shoe() -> str:
    """Rank the first ankle boot of Fashion-MNIST's test images among MNIST's test digits."""
    scores = pd.read_parquet(Cell("mnist", "undercomplete") / "evaluate/scores.parquet")
    test = scores[scores.split == "test"]
    digits = test[~test.anomaly].score
    boots = test[test.label == "Ankle boot"]
    first = boots.iloc[0]
    rank = int((digits > first.score).sum()) + 1
    share = float((boots.score > digits.max()).mean())
    return (
        f"One shoe ({first.id}) among MNIST's {len(digits):,} test digits, `undercomplete`: rank "
        f"{rank} of {len(digits) + 1:,} by error ({first.score:.4f}; the largest of a digit is "
        f"{digits.max():.4f}). Above every digit: {share:.1%} of the ankle boots."
    )


def _linear_against_pca() -> str:
    """Compare the test error of linear autoencoders with PCA's, its optimum, at three sizes."""
    prepared = Prepared.open(prepared_folder("mnist"))
    x, test = flat(prepared, prepared.split("train").x), prepared.split("test")
    digits = flat(prepared, test.x[~test.anomaly])
    rows = []
    for name, size in LINEAR.items():
        metrics = Cell("mnist", name) / "evaluate/metrics.json"
        ours = json.loads(metrics.read_text())["reconstruction_error_normal"]
        best = pca(x, size)(digits).mean()
        rows.append(f"| {size} | {ours:.5f} | {best:.5f} | {ours / best:.4f} |")
    head = "| latent_dim | `linear` | PCA | ratio |\n| --- | --- | --- | --- |\n"
    return "Test error of `linear` on MNIST against PCA's:\n\n" + head + "\n".join(rows)


if __name__ == "__main__":
    main()
