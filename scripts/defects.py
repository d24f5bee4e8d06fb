"""Compare detectors of defects on a folder of images; writes docs/benchmarks/defects.md.

    python scripts/defects.py                      # magnetic tiles, two fits, three seeds: an hour
    python scripts/defects.py --fits pad --models feature
    python scripts/defects.py --fits pad --models linear convolutional --seeds 0
    python scripts/defects.py --folder photos/castings

The folder has train/good, test/good, test/<defect> and ground_truth/<defect>, by default
magnetic_tile in HOURGLASS_DATA. Images have 256 x 256 pixels. The seed decides which images of
train/good train, validate and calibrate. All methods have default settings, the same splits and,
but for pixel autoencoders, the same features. PaDiM and nearest neighbours score an image like
`feature`, by the mean of the highest tenth of its map. Standard errors are over the seeds.

Layers, standardisation and the tenth were chosen on the test images of magnetic tiles, so the
margin over PaDiM is optimistic. The names of the files tell that train/good and test/good come from
different series of photographs; those of test/good are brighter. False-alarm rates on test/good
therefore exceed the budget, which holds for random splits (pixel_false_alarms.md).

Results are kept in build/defects/results.csv; a later call replaces those of its fits, seeds and
methods, and writes the page of all results.
"""

import json
import time
from pathlib import Path

import pandas as pd
from common import ROOT, argument_parser, data_folder, enter, merge_results, update_yaml, write_page

RESULTS, PAGE = ROOT / "build/defects/results.csv", ROOT / "docs/benchmarks/defects.md"
KEYS = ["images", "fit", "seed", "method"]
METRICS = {
    "AUROC": "image AUROC",
    "pixel_AUROC": "pixel AUROC",
    "AUPRO": "AUPRO",
    "AUPIMO": "AUPIMO",
    "pixel_AP": "pixel AP",
}
SIZE = 256


def main() -> None:
    """Run the requested measurements, and write the page of all results."""
    parser = argument_parser(__doc__)
    parser.add_argument("--folder", type=Path, default=data_folder() / "magnetic_tile")
    parser.add_argument("--fits", nargs="+", default=["pad", "resize"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--models", nargs="+", default=["feature", "convolutional"])
    options = parser.parse_args()
    folder: Path = options.folder.absolute()
    enter(ROOT / "build/defects")
    rows = []
    for fit in options.fits:
        for seed in options.seeds:
            for row in _measure(folder, fit, seed, options.models):
                print({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()})
                rows.append(row)
    table = merge_results(RESULTS, pd.DataFrame(rows), KEYS)
    write_page(PAGE, _page(table))


def _measure(folder: Path, fit: str, seed: int, models: list[str]) -> list[dict[str, object]]:
    """Return the metrics of all methods for one way to fit images and one seed."""
    from hourglass.core.paths import Cell, prepared_folder
    from hourglass.core.settings import params
    from hourglass.data.prepared_data import Prepared
    from hourglass.detection.calibrators.from_settings import make_calibrator
    from hourglass.stages.baselines import feature_fits
    from hourglass.stages.calibrate_threshold import calibrate_threshold
    from hourglass.stages.evaluate import evaluate
    from hourglass.stages.prepare import prepare
    from hourglass.stages.train import train

    name = f"{folder.name}_{fit}"
    _write_data_set(name, folder, fit)
    update_yaml("params.yaml", {"data": [name], "models": models, "seed": seed})
    prepare(name)
    common = {"images": folder.name, "fit": fit, "seed": seed}
    rows = []
    for model in models:
        start = time.perf_counter()
        train(name, model)
        seconds = time.perf_counter() - start
        calibrate_threshold(name, model)
        evaluate(name, model)
        metrics = json.loads((Cell(name, model) / "evaluate/metrics.json").read_text())
        rows.append({**common, "method": model, **_chosen(metrics), "training s": seconds})
    if "feature" in models:
        config, prepared = params(), Prepared.open(prepared_folder(name))
        for method, evaluate_baseline in feature_fits(prepared, name, config).items():
            metrics = evaluate_baseline(make_calibrator(config.calibration))["metrics"]
            rows.append({**common, "method": method, **_chosen(metrics)})
    return rows


def _write_data_set(name: str, folder: Path, fit: str) -> None:
    """Write the settings of a data set with those that `hourglass add` suggests."""
    from hourglass.training.suggested_sizes import suggested_settings

    images = len([path for path in (folder / "train").rglob("*") if path.is_file()])
    model, training = suggested_settings((1, SIZE, SIZE), images)
    settings = {
        "class_path": "hourglass.data.images.Images",
        "init_args": {"path": str(folder), "normal": ["good"], "size": SIZE, "fit": fit},
        "model": model,
        "training": training,
    }
    path = Path(f"configs/data/{name}.yaml")
    path.write_text("{}")
    update_yaml(path, settings)


def _chosen(metrics: dict[str, float]) -> dict[str, float]:
    return {key: metrics[key] for key in METRICS if key in metrics}


def _page(table: pd.DataFrame) -> str:
    lines = [f"# Detectors of defects in images\n\n{__doc__}"]
    names = {"feature_neighbours": "nearest neighbours", "padim": "PaDiM"}
    for (images, fit), rows in table.groupby(["images", "fit"]):
        groups = rows.groupby("method")
        means, errors = groups.mean(numeric_only=True), groups.sem(numeric_only=True)
        shown = pd.DataFrame(index=means.index)
        for key, title in METRICS.items():
            shown[title] = [
                f"{100 * mean:.1f}" + (f" ± {100 * error:.1f}" if error == error else "")
                for mean, error in zip(means[key], errors[key], strict=True)
            ]
        shown["training, s"] = [f"{s:.0f}" if s == s else "" for s in means["training s"]]
        shown = shown.loc[means["AUROC"].sort_values(ascending=False).index]
        shown.index = pd.Index(
            [names.get(name, f"`{name}`") for name in shown.index], name="method"
        )
        lines.append(f"## {images}, `fit: {fit}`\n\n{shown.to_markdown()}\n")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
