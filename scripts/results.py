"""Train the default grid on the four large data sets; writes docs/benchmarks/results.md.

    python scripts/results.py         # needs HOURGLASS_DATA; 1.5 hours on two cores

Works in build/results and resumes there.
"""

import json
from dataclasses import asdict

import pandas as pd
import yaml
from common import (
    ROOT,
    argument_parser,
    enter,
    prepare_missing,
    update_yaml,
    write_page,
    write_variant,
)

from hourglass.core.paths import (
    LEADERBOARD,
    Cell,
    baselines_file,
    prepared_folder,
    references_folder,
)
from hourglass.core.yaml_config import import_class, resolve
from hourglass.data.prepared_data import Prepared
from hourglass.evaluation.baselines import pca, scaled_vectors
from hourglass.evaluation.report.leaderboard import markdown
from hourglass.models.base import LitAutoencoder
from hourglass.stages.baselines import baselines
from hourglass.stages.calibrate_threshold import calibrate_threshold
from hourglass.stages.compare import compare
from hourglass.stages.evaluate import evaluate
from hourglass.stages.references import references
from hourglass.stages.study import study
from hourglass.stages.train import train
from hourglass.training.cell_settings import resolve_cell

WORKSPACE = ROOT / "build" / "results"
DATA = ["mnist", "fashion_mnist", "emnist", "credit_card"]
MODELS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["models"]
LINEAR = {f"linear_{size}": size for size in (8, 16, 32)}  # compared with PCA on MNIST


def main() -> None:
    """Run the missing stages and write the page."""
    parser = argument_parser(__doc__)
    parser.add_argument("--data", nargs="+", default=DATA)
    data = parser.parse_args().data
    enter(WORKSPACE)
    update_yaml("params.yaml", {"data": data, "models": MODELS, "study": {"credit_card": True}})
    for name, size in LINEAR.items():
        write_variant(name, "hourglass.models.linear.Linear", {"latent_dim": size})
    for name in data:
        prepare_missing(name)
        if not baselines_file(name).exists():
            baselines(name)
        if not references_folder(name).exists():
            references(name)
        for model in [*MODELS, *(LINEAR if name == "mnist" else {})]:
            _run(Cell(name, model))
    compare()
    write_page(ROOT / "docs/benchmarks/results.md", _page(data))


def _run(cell: Cell) -> None:
    """Run the missing stages of a cell."""
    trained = is_trained(cell)
    if not trained:
        print(f"{cell.name}: train", flush=True)
        train(cell.data, cell.model)
    if not (trained and cell.output("evaluate").exists()):
        print(f"{cell.name}: calibrate and evaluate", flush=True)
        calibrate_threshold(cell.data, cell.model)
        evaluate(cell.data, cell.model)
    if cell.model in MODELS and not (trained and cell.output("study").exists()):
        print(f"{cell.name}: study", flush=True)
        study(cell.data, cell.model)


def is_trained(cell: Cell) -> bool:
    """Return whether a cell was trained with its current settings.

    A setting that did not exist then counts as its default, which keeps the old behaviour.
    """
    path = cell / "train/settings.yaml"
    if not path.exists():
        return False
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    prepared = Prepared.open(prepared_folder(cell.data))
    shape = prepared.input_shape
    current = asdict(resolve_cell(cell, shape, len(prepared.x("train"))))
    kind = import_class(current["class_path"], LitAutoencoder, cell.name)
    defaults = resolve(kind, {}, cell.name, {"sample_shape": list(shape)})
    return bool(settings | {"init_args": defaults | settings["init_args"]} == current)


def _page(data: list[str]) -> str:
    text = "# Results\n\nMade by `python scripts/results.py`; seed 0, settings of configs/.\n"
    text += "Baselines are in italics, 95 % bootstrap intervals in brackets.\n\n"
    text += "".join(f"- {_note(name)}\n" for name in data) + "\n"
    text += markdown(pd.read_csv(LEADERBOARD)) + "\n"
    if "mnist" in data:
        text += f"\n{_one_shoe()}\n\n{_linear_against_pca()}\n"
    return text


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
    """Compare the test error of linear autoencoders with its optimum, PCA's, at three sizes."""
    prepared = Prepared.open(prepared_folder("mnist"))
    x, test = scaled_vectors(prepared, prepared.split("train").x), prepared.split("test")
    digits = scaled_vectors(prepared, test.x[~test.anomaly])
    rows = []
    for name, size in LINEAR.items():
        metrics = Cell("mnist", name) / "evaluate/metrics.json"
        ours = json.loads(metrics.read_text())["reconstruction_error_normal"]
        best = pca(x, size)(digits).mean()
        rows.append(f"| {size} | {ours:.5f} | {best:.5f} | {ours / best:.4f} |")
    head = "| latent_dim | `linear` | PCA | ratio |\n| --- | --- | --- | --- |\n"
    return "Test error of `linear` on MNIST and of PCA:\n\n" + head + "\n".join(rows)


if __name__ == "__main__":
    main()
