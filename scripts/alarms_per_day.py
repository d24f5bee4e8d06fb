"""Compare alarms per day with their budget; writes docs/benchmarks/alarms_per_day.md.

    python scripts/alarms_per_day.py

Needs HOURGLASS_DATA with the folder series/nab. A network is trained on the first 40 % of the
normal rows of each series, and `AlarmsPerDay` sets thresholds on the next 30 %, in blocks of a
window of 16 rows. Alarms are counted on the remaining normal time, which nothing has used.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from common import ROOT, argument_parser, data_folder, write_page

if TYPE_CHECKING:
    from hourglass.data.prepared_data import Prepared

PAGE = ROOT / "docs/benchmarks/alarms_per_day.md"
FRACTIONS = {"train": 0.35, "validation": 0.05, "calibration": 0.3, "tuning": 0.05, "test": 0.25}
WINDOW, BUDGETS = 16, (0.25, 0.5, 1.0, 2.0)  # alarms per day
IRREGULAR = ("rogue_agent_key_hold",)  # half of its steps have no row, so `Series` refuses it
FACTOR = 1.5


def main() -> None:
    """Train, calibrate and count per series, seed and budget; write the page."""
    parser = argument_parser(__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for path in sorted((data_folder() / "series/nab").glob("*.csv")):
        if path.stem not in IRREGULAR:
            rows += list(_measure(path, options))
            print(f"{path.stem}: {len(rows)} rates", flush=True)
    write_page(PAGE, page(pd.DataFrame(rows), options.seeds))


def _measure(path: Path, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the expected and the realised alarms per day for each seed and budget.

    They are missing if the calibration time is too short for the budget, or if the budget allows an
    alarm in every block.
    """
    from hourglass.core.errors import UserError
    from hourglass.data import Series
    from hourglass.data.base import Fractions
    from hourglass.data.prepare import split_samples
    from hourglass.data.prepared_data import PreparedInMemory
    from hourglass.detection.block_scores import expected_alarms_per_day
    from hourglass.detection.calibration import calibrate_detector
    from hourglass.detection.calibrators import AlarmsPerDay, Quantile
    from hourglass.detection.scorers import ModelScore
    from hourglass.evaluation.metrics.series import SeriesRows, normal_alarms
    from hourglass.training.in_memory import train_in_memory

    intervals = str(path.with_name("windows.json"))
    series = Series(str(path), intervals=intervals, window=WINDOW, fractions=Fractions(**FRACTIONS))
    samples, card = split_samples(series, path.parent, seed=0)
    prepared = PreparedInMemory(path.parent, {"data": path.stem, **card}, samples)
    encoding: Any = prepared.scaling
    day = 86_400 / encoding.step  # rows
    for seed in range(options.seeds):
        variant, settings = _settings(prepared, seed)
        network, _ = train_in_memory(variant, settings, prepared)
        detector, calibrate = calibrate_detector(network, prepared, ModelScore(), Quantile(), {})
        unused = [prepared.split(name) for name in ("tuning", "test")]
        scored = [SeriesRows(part.x, detector.scoring(part.x), part.anomaly) for part in unused]
        days = [(~part.anomaly).sum() / day for part in unused]
        for budget in BUDGETS:
            row = {"series": path.stem, "seed": seed, "budget": budget, "days": sum(days)}
            row["calibration days"] = len(prepared.x("calibration")) / day
            try:
                threshold = calibrate(AlarmsPerDay(budget))
            except UserError:
                yield row
                continue
            rates = [normal_alarms(part, encoding, threshold)["alarms_per_day"] for part in scored]
            alarms = sum(rate * time for rate, time in zip(rates, days, strict=True))
            expected = expected_alarms_per_day(threshold, encoding)
            yield row | {"expected": expected, "alarms": alarms}


def _settings(prepared: "Prepared", seed: int) -> tuple[Any, Any]:
    """Return the variant, and the settings of its training."""
    from hourglass.api.settings import estimator_settings

    return estimator_settings(
        "undercomplete",
        (prepared.input_count("train"), *prepared.input_shape),
        init_args={"latent_dim": 8, "hidden": [64], "learning_rate": 0.003},
        training={"batch_size": 64, "max_epochs": 20},
        trainer={"accelerator": "cpu", "devices": 1},
        seed=seed,
    )


def page(rows: pd.DataFrame, seeds: int) -> str:
    """Return the page: the realised rates per series, over the seeds, and of all together."""
    rows["rate"] = rows["alarms"] / rows["days"]
    table = rows.groupby("series")[["calibration days", "days"]].first()
    for budget, part in rows.groupby("budget"):
        table[f"budget {budget:g}"] = part.groupby("series")["rate"].mean()
    summary = []
    for budget in BUDGETS:
        part = rows[rows["budget"] == budget].dropna(subset="alarms")
        rates = part.groupby("series")["rate"].mean()
        realised = part["alarms"].sum() / part["days"].sum()
        summary.append(
            {
                "budget": budget,
                "series": len(rates),
                "expected by the calibration": (part["expected"] * part["days"]).sum()
                / part["days"].sum(),
                "realised": realised,
                "realised / budget": realised / budget,
                f"series above {FACTOR} x budget": int((rates > FACTOR * budget).sum()),
                f"series below budget / {FACTOR}": int((rates < budget / FACTOR).sum()),
            }
        )
    totals = pd.DataFrame(summary).to_markdown(index=False, floatfmt=".3g")
    shown = table.reset_index().to_markdown(index=False, floatfmt=".3g")
    return f"""# Alarms per day on normal time

Made by `python scripts/alarms_per_day.py --seeds {seeds}`. Thresholds by `AlarmsPerDay`, in blocks
of {WINDOW} rows; alarms are events per day of normal time after calibration, a mean over seeds.

{totals}

"Realised" is that of all series together. The budget is an upper bound on the expected number of
alarms, on a stationary series; these series are not all stationary, and with about four days of
normal time, the rate of a single one is known roughly at best. A budget that is large for the
length of a block is not used up: more alarms merge to fewer, longer events.

## Per series

`nan`: the calibration time is too short for the budget, or a block so long that each could have an
alarm. SKAB is left out, as its runs last 20 minutes, and {", ".join(IRREGULAR)}, as half of its
steps have no row.

{shown}
"""


if __name__ == "__main__":
    main()
