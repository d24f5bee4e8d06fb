"""The verb `score`: a trained, calibrated cell and a file of new samples -> a table of alarms."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hourglass.core.atomic import scratch_folder
from hourglass.core.errors import UserError
from hourglass.core.paths import Cell

if TYPE_CHECKING:
    from hourglass.detection.detector import Detector
    from hourglass.detection.score_writer import Decisions
    from hourglass.detection.score_writer import ScoredRows
    from hourglass.evaluation.top_images import TopImages


def score(
    data: str,
    model: str,
    file: Path,
    out: Path | None = None,
    id: str | None = None,
    top: int | None = None,
    false_discovery_rate: float | None = None,
    missing: Literal["refuse", "skip"] = "refuse",
    resize: bool = False,
    heat_maps: int = 20,
) -> Path:
    """Score new samples and say which are alarms, how sure that is, and why.

    A column a feature, found by name in any order; other columns are passed over. The table has a
    row a sample, in the order of the file: id, score, threshold, alarm, conformal p-value, rank (1
    is the most unusual), and the three features that contributed most, in standard deviations above
    their usual error; for images the heat maps of those that rank first. The file may be larger
    than memory.

    Args:
        data: a data set, by the name of its file in configs/data
        model: a variant, by the name of its file in configs/model
        file: a table (.csv, .parquet), an .npz file with an array x, an image or a folder of images
        out: the table to write, .csv or .parquet; <file>-scores.csv in the working folder if none
        id: the column that names the rows; their numbers, from 1, if none
        top: alarm for that many samples with the highest scores, not by the threshold
        false_discovery_rate: alarm so that this share of the alarms is false on average, by
            Benjamini and Hochberg, not by the threshold
        missing: refuse a table with an empty, infinite or huge feature, or skip such rows, which
            get no score
        resize: resize images of another size
        heat_maps: of how many images to draw what is unusual

    """
    path = out or Path(f"{file.stem}-scores.csv")
    if path.resolve() == file.resolve():
        raise UserError(f"out is {path}, the file to be scored; name another file to write.")
    _check(path, top, false_discovery_rate, heat_maps)
    cell = Cell(data, model)
    cell.need("train", "calibrate-threshold")
    from hourglass.detection.detector import Detector
    from hourglass.detection.score_writer import decide, write
    from hourglass.detection.score_writer import ScoredRows

    detector = Detector.of_cell(cell)
    with scratch_folder(path.with_name(f".{path.stem}.scoring")) as folder:
        judged = ScoredRows(detector, folder / "kept.arrow")
        highest = _highest(heat_maps) if not detector.feature_names else None
        _read(file, detector, judged, highest, id, missing, resize)
        said = decide(detector, judged.scores, top, false_discovery_rate)
        pictures = highest.draw(path.with_suffix(".heat_maps"), detector) if highest else None
        write(path, judged.path, detector.threshold.value, said, pictures)
    _print(path, said)
    return path


def _check(path: Path, top: int | None, rate: float | None, heat_maps: int) -> None:
    if path.suffix not in (".csv", ".parquet"):
        raise UserError(f"out is {path}; give a file that ends in .csv or .parquet.")
    if top is not None and rate is not None:
        raise UserError("top and false_discovery_rate exclude each other; leave one of them out.")
    if top is not None and top < 1:
        raise UserError(f"top is {top}, but must be at least 1.")
    if rate is not None and not 0 < rate < 1:
        raise UserError(f"false_discovery_rate is {rate}, but must be between 0 and 1.")
    if heat_maps < 0:
        raise UserError(f"heat_maps is {heat_maps}, but must be 0 or more.")


def _highest(most: int) -> "TopImages":
    from hourglass.evaluation.top_images import TopImages  # imports matplotlib

    return TopImages(most)


def _read(
    file: Path,
    detector: "Detector",
    judged: "ScoredRows",
    highest: "TopImages | None",
    id: str | None,
    missing: str,
    resize: bool,
) -> None:
    """Judge the file portion by portion."""
    from tqdm import tqdm

    from hourglass.data.readers.chunks import prefetch, read_chunks
    from hourglass.detection.score_writer import need_scores

    with tqdm(desc=file.name, unit=" samples", unit_scale=True, disable=None) as progress:
        for portion in prefetch(read_chunks(file, detector, id, resize)):
            scores = judged.add(portion)
            if missing == "refuse":
                need_scores(scores, portion, file, detector.feature_names)
            if highest is not None:
                highest.add(portion, scores)
            progress.update(len(scores))
    judged.close()
    if not len(judged.scores):
        raise UserError(f"{file} holds no samples.")


def _print(path: Path, said: "Decisions") -> None:
    """Print how many alarms there are, and where the table is."""
    scored, alarms = int((said.rank > 0).sum()), int(said.alarm.sum())
    skipped = len(said.rank) - scored
    print(f"{scored:,} samples, {alarms:,} alarms" + (f", {skipped:,} skipped" * bool(skipped)))
    print(f"the table is {path.as_posix()}")
