"""Command `drift`: a calibrated cell and a file of new samples -> a drift report."""

import sys
from pathlib import Path

from hourglass.cli.output_paths import check_output, name_of
from hourglass.core.atomic import atomic_file, sha256, write_json
from hourglass.core.errors import UserError
from hourglass.core.paths import Cell
from hourglass.data.columns.column import Missing

DRIFT_EXIT_STATUS = 3  # of --fail; 1 is a UserError, 2 a wrong command line


def drift(
    data: str,
    model: str,
    file: Path,
    out: Path | None = None,
    alpha: float = 0.01,
    missing: Missing = "use",
    resize: bool = False,
    seed: int = 0,
    fail: bool = False,
) -> Path:
    """Test new samples for drift since the threshold was calibrated.

    A Kolmogorov-Smirnov test compares the distribution of scores with that of the calibration
    split. A conformal test martingale tests for drift in file order; its probability of a false
    alarm is at most alpha for a file of any length. The alarm rate is compared with the calibrated
    one, assuming that most samples are normal. The report names the features with unusual errors.
    It is written as JSON, with a figure next to it. The file may be larger than memory, but its
    scores must fit. Of a time series, the highest scores of blocks of one window are compared.

    Args:
        data: a data set, by the name of its file in configs/data
        model: a variant, by the name of its file in configs/model
        file: a table (.csv, .parquet, .xlsx and so on), an .npz file with an array x, or a folder
            of images, oldest first (images are sorted by name)
        out: the .json file to write; <file>-drift.json in the working folder if omitted
        alpha: the false-alarm probability of the martingale and of the alarm-rate test
        missing: use rows with missing cells, refuse a table with one, or skip such rows
        resize: resize images of another size
        seed: the random seed for breaking ties between equal scores
        fail: exit with status 3 if the martingale raises an alarm or the alarm rate has changed

    Examples:
        hourglass drift breast_cancer linear new.csv
        hourglass drift breast_cancer linear new.csv --alpha 0.001 --fail

    """
    path = out or Path(f"{name_of(file)}-drift.json")
    check_output(path, [".json"], file, path.with_suffix(".png"))
    if not 0 < alpha < 1:
        raise UserError(f"alpha is {alpha}, but must be between 0 and 1.")
    from hourglass.detection.detector import Detector
    from hourglass.detection.drift.detection import Drift
    from hourglass.detection.drift.score_stream import score_stream
    from hourglass.evaluation import figures
    from hourglass.evaluation.figures.scores import drift_figure

    detector = Detector.of_cell(Cell(data, model))
    stream = score_stream(file, detector, missing, resize)
    report = Drift.of(detector, stream, alpha, seed)
    with atomic_file(path.with_suffix(".png")) as temporary:
        scores = (detector.calibration_scores, stream.scores)
        figures.save(drift_figure(*scores, detector.threshold, report), temporary)
    write_json(path, {"data": data, "model": model, "file": file.name, **report.to_json()})
    sentences = [*report.sentences(), *_training_hint(Cell(data, model), file)]
    print("\n".join([*sentences, f"the report is {path.as_posix()}"]))
    if fail and report.detected:
        sys.exit(DRIFT_EXIT_STATUS)
    return path


def _training_hint(cell: Cell, file: Path) -> list[str]:
    """Return a sentence if the detector was trained on rows of this file."""
    from hourglass.data.prepared_data import Prepared

    try:
        files = Prepared.open(cell.prepared).card["source"]["files"]
    except UserError:  # the prepared data are elsewhere
        return []
    if not file.is_file() or sha256(file) not in files.values():
        return []
    return [
        f"Note: the detector was trained on rows of {file}, whose scores are lower than those of "
        "new rows; test rows that are not in it."
    ]
