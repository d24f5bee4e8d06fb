"""The verb `drift`: a calibrated cell and a file of new samples -> whether anything has changed."""

import sys
from pathlib import Path
from typing import Literal

from hourglass.core.atomic import atomic_file, write_json
from hourglass.core.errors import UserError
from hourglass.core.paths import Cell

FOUND = 3  # exit status of --fail; 1 is a refusal, 2 a wrong command


def drift(
    data: str,
    model: str,
    file: Path,
    out: Path | None = None,
    alpha: float = 0.01,
    missing: Literal["refuse", "skip"] = "refuse",
    resize: bool = False,
    seed: int = 0,
    fail: bool = False,
) -> Path:
    """Compare the scores of new samples with those that the threshold was calibrated on.

    Says whether their distributions differ (Kolmogorov-Smirnov); whether the samples, in the order
    of the file, drift away (a conformal test martingale, which alarms without drift with a chance
    of alpha at most, however long the file); whether the threshold still calls as many samples
    alarms as calibration promised, which takes it that most are normal; and which features are
    off. Writes all of it as JSON, and a picture beside it. The file may be larger than memory, its
    scores may not.

    Args:
        data: a data set, by the name of its file in configs/data
        model: a variant, by the name of its file in configs/model
        file: a table (.csv, .parquet), an .npz file with an array x, or a folder of images, the
            oldest first (images by name)
        out: the .json file to write; <file>-drift.json in the working folder if none
        alpha: the chance of an alarm without drift, of the martingale and of the threshold's rate
        missing: refuse a table with an empty, infinite or huge feature, or skip such rows
        resize: resize images of another size
        seed: of the random numbers that p-values of equal scores need
        fail: exit with status 3 where the martingale alarms or the threshold does not hold

    """
    path = out or Path(f"{file.stem}-drift.json")
    _check(path, file, alpha)
    cell = Cell(data, model)
    cell.need("train", "calibrate-threshold")
    from hourglass.detection.detector import Detector
    from hourglass.detection.drift.report import Drift
    from hourglass.detection.drift.score_stream import score_stream
    from hourglass.evaluation import figures
    from hourglass.evaluation.figures.scores import drift_figure

    detector = Detector.of_cell(cell)
    seen = score_stream(file, detector, missing, resize)
    found = Drift.of(detector, seen, alpha, seed)
    with atomic_file(path.with_suffix(".png")) as temporary:
        drawn = drift_figure(detector.calibration, seen.scores, detector.threshold, found)
        figures.save(drawn, temporary)
    write_json(path, {"data": data, "model": model, "file": file.name, **found.numbers()})
    print("\n".join([*found.sentences(), f"the report is {path.as_posix()}"]))
    if fail and found.detected:
        sys.exit(FOUND)
    return path


def _check(path: Path, file: Path, alpha: float) -> None:
    if path.suffix != ".json":
        raise UserError(f"out is {path}; give a file that ends in .json.")
    if path.with_suffix(".png").resolve() == file.resolve():
        raise UserError(f"out is {path}, whose picture would replace {file}; name another file.")
    if not 0 < alpha < 1:
        raise UserError(f"alpha is {alpha}, but must be between 0 and 1.")
