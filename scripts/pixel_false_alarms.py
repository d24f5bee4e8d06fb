"""Compare pixel false alarms with their budgets; writes docs/benchmarks/pixel_false_alarms.md.

    python scripts/pixel_false_alarms.py

Needs HOURGLASS_DATA with MNIST and magnetic_tile. A network is trained on the train split. The
normal images that it has not seen are pooled and split at random, SPLITS times, into images for
calibration and the rest, on which false alarms are counted.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from common import ROOT, argument_parser, data_folder, write_page

if TYPE_CHECKING:
    from hourglass.data.base import DataSet

PAGE = ROOT / "docs/benchmarks/pixel_false_alarms.md"
SPLITS = 20
# Calibration images, and the budgets that they can hold.
BUDGETS: dict[str, tuple[int, list[dict[str, float]]]] = {
    "magnetic tiles": (75, [{"image_rate": 0.05}, {"image_rate": 0.2}, {"pixel_rate": 0.02}]),
    "MNIST": (
        2000,
        [
            {"image_rate": 0.01},
            {"image_rate": 0.05},
            {"pixel_rate": 0.001},
            {"pixel_rate": 0.01},
        ],
    ),
}


def main() -> None:
    """Train, calibrate and count per data set, budget and split; write the page."""
    argument_parser(__doc__).parse_args()
    rows = [row for name in BUDGETS for row in _rows(name)]
    text = "# Pixel false alarms: budget and outcome\n\n"
    text += f"Made by `python scripts/pixel_false_alarms.py`: {SPLITS} random calibration splits of"
    text += " normal images that the network has\nnot seen. `image_rate` is the share of new normal"
    text += " images with a pixel above the threshold, `pixel_rate` the share of their\npixels."
    text += " `within`: the mean rate is at most two standard errors above the budget.\n\n"
    write_page(PAGE, text + pd.DataFrame(rows).to_markdown(index=False, floatfmt=".5f") + "\n")


def _rows(name: str) -> Iterator[dict[str, object]]:
    """Yield the mean rate for each budget of a data set."""
    from hourglass.detection.anomaly_maps import MapSettings
    from hourglass.detection.pixel_settings import PixelSettings
    from hourglass.detection.pixel_threshold import PixelCalibration

    maps = _normal_maps(name)
    count, budgets = BUDGETS[name]
    for budget in budgets:
        settings, rng, rates = PixelSettings(**budget), np.random.default_rng(0), []  # type: ignore[arg-type]
        for _ in range(SPLITS):
            order = rng.permutation(len(maps))
            calibration = PixelCalibration(settings, count)
            calibration.add([maps[order[:count]]])
            alarms = maps[order[count:]] > calibration.result(MapSettings()).require_threshold()
            by_image = settings.budget == "image_rate"
            rates.append(float(alarms.any((1, 2)).mean() if by_image else alarms.mean()))
        mean, error = np.mean(rates), np.std(rates, ddof=1) / SPLITS**0.5
        yield {
            "images": name,
            "calibration images": count,
            "other images": len(maps) - count,
            "budget": settings.budget,
            "rate": settings.rate,
            "mean rate": mean,
            "standard error": error,
            "within": "yes" if mean <= settings.rate + 2 * error else "no",
        }


def _normal_maps(name: str) -> np.ndarray:
    """Return the maps of the normal images that the network has not seen, (N, H, W)."""
    from hourglass.data.prepare import split_samples
    from hourglass.data.prepared_data import PreparedInMemory
    from hourglass.detection.anomaly_maps import MapSettings
    from hourglass.detection.map_images import map_images
    from hourglass.training.in_memory import train_in_memory

    samples, card = split_samples(_data_set(name), data_folder(), seed=0)
    prepared = PreparedInMemory(data_folder(), {"data": name, **card}, samples)
    network, _ = train_in_memory(*_settings(prepared), prepared)
    print(f"{name}: trained", flush=True)
    parts = [samples[split] for split in ("calibration", "tuning", "test")]
    x = np.concatenate([np.asarray(part.x[~part.anomaly]) for part in parts])
    return np.concatenate(list(map_images(network, x, prepared.scaling, MapSettings())))


def _data_set(name: str) -> "DataSet":
    from hourglass.data.images import Images
    from hourglass.data.mnist import MNIST

    if name == "MNIST":
        return MNIST()
    return Images(str(Path(data_folder() / "magnetic_tile").absolute()), size=64, fit="resize")


def _settings(prepared: Any) -> tuple[Any, Any]:
    """Return the variant, and the settings of its training."""
    from hourglass.api.settings import estimator_settings

    return estimator_settings(
        "undercomplete",
        (prepared.input_count("train"), *prepared.input_shape),
        init_args={"latent_dim": 16, "hidden": [128]},
        training={"batch_size": 64, "max_epochs": 10},
        trainer={"accelerator": "cpu", "devices": 1},
        seed=0,
    )


if __name__ == "__main__":
    main()
