"""The lines that `try` prints about its result."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from hourglass.core.paths import LEADERBOARD, PAGE, Cell
from hourglass.core.suggestions import counted

if TYPE_CHECKING:
    import pandas as pd

    from hourglass.cli.data_plan import DataPlan
    from hourglass.cli.ranked import Ranked
    from hourglass.data.series_encoding import SeriesEncoding

RANKED, EVENTS, DEFECTS = Path("ranked.csv"), Path("events.csv"), Path("defects.csv")
SHOWN = 5  # rows, or events
CHANCE = 0.5  # the AUROC of random scores


def summary_lines(cell: Cell, plan: "DataPlan", ranked: "Ranked", folder: Path) -> list[str]:
    """Return the lines about the ranked samples of a cell in the workspace `folder`."""
    unit = "row" if plan.is_series else "sample"
    scored = ranked.samples[ranked.samples["rank"].notna()]
    alarms = int(scored["alarm"].astype(bool).sum())
    counts = f"{counted(len(scored), unit)} scored, {counted(alarms, 'alarm')}"
    lines = [f"{counts} ({alarms / len(scored):.1%})"]
    if ranked.events is not None:
        lines[0] += f" in {counted(len(ranked.events), 'event')}"
    lines += _false_alarms(cell, plan) + _quality(cell, plan)
    trained = int((scored["split"] == "train").sum())
    lines.append(
        f"scores of the {trained:,} {unit}s of the training split are optimistic: the network "
        "has seen them"
    )
    if ranked.events is not None and len(ranked.events):
        lines.append("most abnormal events, with their most unusual rows:")
        lines += _event_lines(ranked.events)
    elif ranked.events is not None:
        lines += _lines_without_events(cell, plan, scored)
    elif not plan.is_images:
        lines.append("most abnormal (in brackets: the probability of the expected value):")
        lines += [f"  {row.id}: {row.reasons}" for row in scored.head(SHOWN).itertuples()]
    else:
        lines.append(f"most abnormal: {', '.join(map(str, scored['id'].head(SHOWN)))}")
    lines.append(f"ranked {unit}s: {(folder / RANKED).as_posix()}")
    if ranked.events is not None:
        lines.append(f"ranked events: {(folder / EVENTS).as_posix()}")
    if "defects" in scored and scored["defects"].any():
        images = counted(int((scored["defects"] > 0).sum()), "image")
        found = counted(int(scored["defects"].sum()), "defect")
        lines.append(f"{found} in {images}: {(folder / DEFECTS).as_posix()}")
    lines.append(f"page: {(folder / PAGE).as_posix()}")
    return lines


def _false_alarms(cell: Cell, plan: "DataPlan") -> list[str]:
    """Return the line about expected false alarms, if their rate is known."""
    from hourglass.detection.block_scores import block_seconds, duration_text
    from hourglass.detection.threshold import Threshold

    expected = Threshold.read(cell / "calibrate/threshold.json").false_alarm_rate
    if expected is None:
        return []
    if not plan.is_series:
        return [f"expected false-alarm rate: {expected:.1%} of new normal samples"]
    encoding = series_encoding(cell)
    per = ""
    if plan.has_dates:
        per = f", one in {duration_text(block_seconds(encoding) / expected)} of normal rows"
    return [
        f"expected false alarms: at most {expected:.1%} of normal stretches of {encoding.window} "
        f"rows have one{per}"
    ]


def _quality(cell: Cell, plan: "DataPlan") -> list[str]:
    """Return the line about the quality on the test split, if it has anomalies."""
    from hourglass.evaluation.metrics.auroc_interval import why_no_interval

    metrics = json.loads((cell / "evaluate/metrics.json").read_text(encoding="utf-8"))
    if "AUROC" not in metrics:
        if plan.labels is None and not plan.intervals:
            return []
        last = ", the last rows," if plan.is_series else ""
        return [f"no AUROC: the test split{last} has no labelled anomaly"]
    quality, comparison = f"AUROC {metrics['AUROC']:.3f}", _comparison(cell, metrics["AUROC"])
    if plan.is_series:
        return [
            f"{quality}, VUS-PR {metrics['VUS_PR']:.3f} (no interval, as neighbouring rows are not "
            "independent) on the test split",
            *comparison,
        ]
    interval = why_no_interval(metrics["anomalies"], metrics["prevalence"])
    if not interval:
        low, high = (metrics[f"AUROC_{end}"] for end in ("low", "high"))
        interval = f"95 % interval {low:.3f} to {high:.3f}"
    return [f"{quality} ({interval}) on the test split", *comparison]


def _comparison(cell: Cell, auroc: float) -> list[str]:
    """Return a line for an AUROC that a baseline exceeds, and one for an AUROC below chance."""
    import pandas as pd

    lines = []
    if LEADERBOARD.exists():
        table = pd.read_csv(LEADERBOARD).query("baseline and data == @cell.data")
        names = table.sort_values("AUROC", ascending=False)[["model", "AUROC"]]
        lines += [
            f"the baseline {model} has a higher AUROC, {best:.3f}"
            for model, best in names.head(1).to_numpy()
            if round(best, 3) > round(auroc, 3)
        ]
    if auroc < CHANCE:
        lines.append(
            "an AUROC below 0.5 means that anomalies look more normal than normal samples; check "
            "which labels are normal"
        )
    return lines


def _event_lines(events: "pd.DataFrame") -> list[str]:
    lines = []
    for _, event in events.head(SHOWN).iterrows():
        names = list(events.columns)
        entity = "".join(f"{event[name]}, " for name in names[1 : names.index("start")])
        reasons = f"; at {event['most_unusual']}: {event['reasons']}" if event["reasons"] else ""
        lines.append(f"  {entity}{event['start']} to {event['end']}{reasons}")
    return lines


def _lines_without_events(cell: Cell, plan: "DataPlan", scored: "pd.DataFrame") -> list[str]:
    """Return lines about the highest scores, at least a window apart, of rows without an alarm."""
    window = series_encoding(cell).window
    shown = [scored.loc[row] for row in distant_rows(scored.index, window, SHOWN)]
    unlabelled = "" if plan.labels is not None else ", which unlabelled anomalies raise"
    lines = [f"no score is above the threshold{unlabelled}; the highest, a window apart:"]
    for row in shown:
        entity = f"{row['entity']}, " if "entity" in row else ""
        reasons = f": {row['reasons']}" if row["reasons"] else ""
        lines.append(f"  {entity}{row['time']} (score {row['score']:.3g}){reasons}")
    return lines


def distant_rows(rows: Iterable[int], distance: int, count: int) -> list[int]:
    """Return the first `count` row numbers, each at least `distance` from all before it."""
    found: list[int] = []
    for row in rows:
        if all(abs(row - other) >= distance for other in found):
            found.append(row)
            if len(found) == count:
                break
    return found


def series_encoding(cell: Cell) -> "SeriesEncoding":
    """Return the encoding of a prepared series."""
    from hourglass.data.prepared_data import Prepared
    from hourglass.data.series_encoding import SeriesEncoding

    encoding = Prepared.open(cell.prepared).scaling
    assert isinstance(encoding, SeriesEncoding)
    return encoding
