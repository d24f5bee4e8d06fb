"""Command `score`: a calibrated cell and a file of new samples -> a table of scores and alarms."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hourglass.cli.output_paths import check_output, name_of
from hourglass.core.atomic import scratch_folder
from hourglass.core.errors import UserError
from hourglass.core.paths import Cell
from hourglass.core.progress import step
from hourglass.core.suggestions import counted
from hourglass.data.columns.column import Missing
from hourglass.detection.threshold import check_alarm_rule

if TYPE_CHECKING:
    from hourglass.detection.score_writer import ScoredRows
    from hourglass.evaluation.top_images import TopImages

STDOUT = Path("-")  # as the path of the table of --follow


def score(
    data: str,
    model: str,
    file: Path,
    out: Path | None = None,
    id: str | None = None,
    top: int | None = None,
    false_discovery_rate: float | None = None,
    missing: Missing = "use",
    resize: bool = False,
    skip_damaged: bool = False,
    heat_maps: int = 20,
    min_length: int = 1,
    cool_down: int | None = None,
    follow: bool = False,
    latency: int | None = None,
) -> Path:
    """Score new samples: alarms, conformal p-values, ranks and contributing features.

    A table is the raw file: `prepare` and `score` read it by the same code. It needs one named
    column per feature, in any order, except those that are optional; other columns are ignored. The
    output has one row per sample, in file order: id, score, threshold, alarm, conformal p-value,
    rank (1 is the most abnormal), and the three features that contributed most, each with its
    contribution, in standard deviations above its usual loss, and the reason: the value, and what
    was expected. For images, it names the heat maps of the highest ranks instead of features. The
    file may be larger than memory.

    Of a time series, a second table, <out>-events, has one row per event: alarms that belong
    together, with start, end, number of rows, highest score and, at its peak, the features that
    contributed most. Times that are numbers, not dates, count as seconds in events per day.

    Of images, a second table, <out>-defects, has one row per defect: a connected region above the
    pixel threshold, with its area, box (x, y, width, height), highest and mean score, in pixels of
    the original file. <out>.heat_maps holds the heat maps, and in overlays/ and masks/ a picture of
    each alarm and of each image with a defect.

    A missing cell is scored as in training: its value has no loss, but a cell that is rarely
    missing counts as unusual. Infinite and huge numbers are scored, too, as very unusual ones. A
    row without any value has no score.

    A text cell of a .csv output that begins with =, +, -, @, tab or carriage return and is not a
    number gets an apostrophe in front, so that no spreadsheet runs it as a formula;
    HOURGLASS_CSV_FORMULAS=keep turns this off. A .parquet output is never changed.

    Args:
        data: a data set, by the name of its file in configs/data
        model: a variant, by the name of its file in configs/model
        file: a table (.csv, .parquet, .xlsx and so on, or a pattern such as 'new/*.csv'), an
            .npz or .npy file, an image, a folder or table of images, or files of vectors for a data
            set of vectors (.safetensors, .npy, .npz, .parquet, or a folder of them)
        out: the table to write, .csv or .parquet; <file>-scores.csv in the working folder if
            omitted
        id: the column of row ids; row numbers from 1 if omitted
        top: raise an alarm for this many samples with the highest scores, instead of the threshold
        false_discovery_rate: raise alarms with this expected share of false alarms (Benjamini and
            Hochberg), instead of the threshold
        missing: use rows with missing cells, refuse a table with one, or skip such rows, which
            then have no score
        resize: resize images of another size; those of a data set with `size` are scaled as there
        skip_damaged: skip image files that cannot be read, and say so
        heat_maps: the number of heat maps to draw, highest scores first; 0 draws no overlays and
            masks either
        min_length: of a series, drop events of fewer rows from the first to the last alarm
        cool_down: of a series, rows without an alarm that end an event; a window if omitted
        follow: of a series in a CSV file that grows, or of standard input if the file is -, print
            the score of each row as soon as it is final, until an interrupt or the end of the input
        latency: with --follow, rows to wait for before a row is scored; fewer than a window give an
            earlier score, from the windows known by then

    Examples:
        hourglass score digits denoising new.npz
        hourglass score breast_cancer linear new.csv --id name --false-discovery-rate 0.1
        hourglass score electroencephalogram denoising eeg.csv --follow

    """
    if follow:
        given = {
            "id": id is not None,
            "top": top is not None,
            "false_discovery_rate": false_discovery_rate is not None,
            "missing": missing != "use",
            "resize": resize,
            "min_length": min_length != 1,
            "cool_down": cool_down is not None,
        }
        if unused := [name for name, is_given in given.items() if is_given]:
            raise UserError(
                f"--follow scores rows one by one and has no {unused[0]}; omit it, or score the "
                "file without --follow."
            )
        return _follow(Cell(data, model), file, out, latency)
    if latency is not None:
        raise UserError(f"latency is {latency}, which needs --follow; omit it.")
    path = out or Path(f"{name_of(file)}-scores.csv")
    heat_map_folder = path.with_suffix(".heat_maps")
    events_path = path.with_name(f"{path.stem}-events{path.suffix}")
    defects_path = path.with_name(f"{path.stem}-defects{path.suffix}")
    also = (heat_map_folder, events_path, defects_path)
    check_output(path, (".csv", ".parquet"), file, *also)
    check_alarm_rule(top, false_discovery_rate)
    if heat_maps < 0:
        raise UserError(f"heat_maps is {heat_maps}, but must be 0 or more.")
    from hourglass.detection.detector import Detector
    from hourglass.detection.event_table import events_sentence, write_spilled_events
    from hourglass.detection.events import EventRule
    from hourglass.detection.score_writer import ScoredRows, decide, write

    rule = EventRule(min_length, cool_down)
    detector = Detector.of_cell(Cell(data, model))
    if not detector.is_series and rule != EventRule():
        raise UserError(
            f"{data} is no time series, so it has no events; omit min_length and cool_down."
        )
    images, defects = None, None
    with scratch_folder(path.with_name(f".{path.stem}.scoring")) as folder:
        if not detector.columns:
            from hourglass.evaluation.score_images import DefectOutputs  # imports matplotlib
            from hourglass.evaluation.top_images import TopImages

            images = TopImages(heat_maps)
            scratch = folder / defects_path.name
            rule_of_alarms = (top, false_discovery_rate)
            defects = DefectOutputs.of(detector, scratch, heat_maps > 0, *rule_of_alarms)
        spilled = folder / "rows.arrow"
        rows = ScoredRows(detector, spilled, on_maps=defects.add if defects else None)
        _score_file(file, rows, images, id, missing, resize, skip_damaged)
        decisions = decide(detector, rows.scores, top, false_discovery_rate)
        with step(f"draw heat maps and write {path.as_posix()}"):
            pictures = defects.finish(decisions.alarm, defects_path) if defects else None
            drawn = images.draw(heat_map_folder, detector, pictures) if images else {}
            write(path, spilled, detector.threshold.value, decisions, drawn)
            if detector.is_series:
                events = write_spilled_events(events_path, spilled, rows, decisions.alarm, rule)
    scored, alarms = int((decisions.rank > 0).sum()), int(decisions.alarm.sum())
    skipped = len(decisions.rank) - scored
    counts = [counted(scored, "sample"), counted(alarms, "alarm")]
    print(", ".join(counts + ([f"{skipped:,} without a score"] if skipped else [])))
    if rows.series and (note := rows.series.irregularity(detector.encoding)):
        print(f"hourglass: {note}", file=sys.stderr)
    if detector.is_series:
        own_rule = top is None and false_discovery_rate is None
        threshold = detector.threshold if own_rule else None
        print(events_sentence(events, scored, detector.encoding, threshold))
        print(f"the table of events is {events_path.as_posix()}")
    if reason := decisions.no_discoveries:
        print(f"hourglass: {reason}", file=sys.stderr)
    if defects:
        print(f"{defects.sentence}; the table of defects is {defects_path.as_posix()}")
    print(f"the table is {path.as_posix()}")
    return path


def _follow(cell: Cell, file: Path, out: Path | None, latency: int | None) -> Path:
    """Score the rows of a growing file; see `cli.follow`."""
    from contextlib import nullcontext

    from hourglass.cli.follow import follow
    from hourglass.detection.detector import Detector

    if out is not None:
        check_output(out, (".csv",), file)
        out.parent.mkdir(parents=True, exist_ok=True)
    detector = Detector.of_cell(cell)
    with nullcontext(sys.stdout) if out is None else out.open("w", encoding="utf-8") as output:
        count = follow(file, detector, latency, output)
    print(counted(count, "row"), file=sys.stderr)
    return out or STDOUT


def _score_file(
    file: Path,
    rows: "ScoredRows",
    images: "TopImages | None",
    id: str | None,
    missing: Missing,
    resize: bool,
    skip_damaged: bool,
) -> None:
    """Score a file chunk by chunk, and add its samples to `rows` and `images`."""
    from hourglass.core.progress_bar import ProgressBar
    from hourglass.data.readers.chunks import read_chunks
    from hourglass.data.streaming import prefetch
    from hourglass.detection.chunk_scores import require_scores

    chunks = read_chunks(file, rows.detector, id, resize, None, missing, skip_damaged)
    with ProgressBar(desc=file.name, unit=" samples", unit_scale=True) as progress:
        for chunk, scores in rows.add_all(prefetch(chunks)):
            if missing == "refuse":
                require_scores(scores, chunk, file)
            if images is not None:
                images.add(chunk, scores)
            progress.update(len(scores))
    rows.close()
    if not len(rows.scores):
        raise UserError(f"{file} holds no samples; name a file with at least one.")
