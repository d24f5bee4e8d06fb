"""The verb `search`: a trained cell and new samples, or one of its own -> the nearest by code."""

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from hourglass.core.atomic import atomic_file
from hourglass.core.errors import UserError
from hourglass.core.paths import Cell

if TYPE_CHECKING:
    import pandas as pd

    from hourglass.data.prepared import Prepared
    from hourglass.detection.detector import Detector
    from hourglass.studies.search.contact_sheet import Row
    from hourglass.studies.search.index import Index
    from hourglass.studies.search.queries import Answers

FOLDER = Path("reports/search")
ROWS = 20  # queries on a contact sheet


def search(
    data: str,
    model: str,
    query: str,
    top: int = 10,
    resize: bool = False,
    out: Path | None = None,
) -> Path:
    """Find the samples of a data set that are most like others, by the distance of their codes.

    The table has a row a query and neighbour: query, rank (1 is the nearest), id, split, label,
    anomaly, and the Euclidean distance of the codes. Images get a contact sheet of the first 20
    queries, a .png of the same name. All samples of all five splits can be found. The first search
    of a cell writes its index, reports/search/<data>-<model>, which is made again for other weights
    or data.

    Args:
        data: a data set, by the name of its file in configs/data
        model: a variant, by the name of its file in configs/model
        query: a table (.csv, .parquet), an .npz file with an array x, an image, a folder of images,
            or the id of a sample of the data set, which is then no neighbour of its own
        top: how many neighbours
        resize: resize images of another size
        out: the table to write, .csv or .parquet; <query>-neighbours.csv in the working folder if
            none

    """
    path = out or Path(f"{_stem(query)}-neighbours.csv")
    _check(path, query, top)
    cell = Cell(data, model)
    cell.need("train", "calibrate-threshold")
    from hourglass.data.prepared import Prepared
    from hourglass.detection.detector import Detector

    detector, prepared = Detector.of_cell(cell), Prepared.open(cell.prepared)
    index = _index(cell, detector, prepared)
    answers = _answers(query, detector, prepared, index, top, resize)
    first, rows = _write(path, answers, index, prepared)
    print(first.to_markdown(index=False, floatfmt=".4g"))
    print(f"the table is {path.as_posix()}")
    if rows:
        _draw(path.with_suffix(".png"), rows, cell)
    return path


def _stem(query: str) -> str:
    """Return a name for what is found: that of the file or folder, or the id as a file's name."""
    return Path(query).resolve().stem if Path(query).exists() else re.sub(r"[^\w.-]+", "-", query)


def _check(path: Path, query: str, top: int) -> None:
    if path.suffix not in (".csv", ".parquet"):
        raise UserError(f"out is {path}; give a file that ends in .csv or .parquet.")
    source, table = Path(query).resolve(), path.resolve()
    if source in (table, table.with_suffix(".png"), *table.parents):
        raise UserError(
            f"out is {path}, which is not apart from {query}; name another file to write."
        )
    if top < 1:
        raise UserError(f"top is {top}, but must be at least 1.")


def _index(cell: Cell, detector: "Detector", prepared: "Prepared") -> "Index":
    """Return the cell's index, made anew where there is none that fits; then say why."""
    from hourglass.studies.search.index import Index, Unusable, origin

    folder = FOLDER / cell.name
    try:
        return Index.read(folder, origin(detector, prepared))
    except Unusable as reason:
        print(f"{reason}: indexing {cell.data}")
    index = Index.build(detector, prepared)
    index.write(folder)
    return index


def _answers(
    query: str,
    detector: "Detector",
    prepared: "Prepared",
    index: "Index",
    top: int,
    resize: bool,
) -> "Iterator[Answers]":
    """Return the answers to a file's or folder's samples, or to the sample with that id."""
    from hourglass.studies.search.queries import to_file, to_sample

    if Path(query).exists():
        return to_file(Path(query), detector, index, top, resize)
    place = index.place(query)
    if place is None:
        raise UserError(
            f"{query} is no file, no folder and no id of {prepared.card['data']}; give one of "
            f"these, an id such as {index.samples.id[0]}."
        )
    return iter([to_sample(place, prepared, index, top)])


def _write(
    path: Path, answers: "Iterator[Answers]", index: "Index", prepared: "Prepared"
) -> "tuple[pd.DataFrame, list[Row]]":
    """Write the table as answers come; return its first query's part and the sheet's rows."""
    from hourglass.detection.score_writer import writer
    from hourglass.networks import is_image

    start = next(answers)  # what holds no samples is refused
    first, top = start.table(index), start.place.shape[1]
    rows: list[Row] = []
    count, seconds = 0, 0.0
    with atomic_file(path) as temporary, writer(temporary, first.schema) as file:
        for each in chain([start], answers):
            file.write_batch(each.table(index))
            if is_image(prepared.sample_shape) and len(rows) < ROWS:
                rows += _rows(each, ROWS - len(rows), index, prepared)
            count, seconds = count + len(each.id), seconds + each.seconds
    one = "" if count == 1 else f" for each of {count:,} queries"
    print(f"{top} of {len(index):,}{one} in {1000 * seconds / count:.1f} ms")
    return first.slice(0, top).to_pandas().drop(columns="query"), rows


def _rows(answers: "Answers", most: int, index: "Index", prepared: "Prepared") -> "list[Row]":
    """Return the first queries as rows of a contact sheet, at most so many."""
    from hourglass.studies.search.contact_sheet import COLUMNS, Row
    from hourglass.studies.search.queries import images

    scaling, places = prepared.scaling, answers.place[:most, :COLUMNS]
    found = images(prepared, places.ravel()).reshape(*places.shape, *prepared.sample_shape)
    return [
        Row(
            str(answers.id[i]),
            scaling(answers.x[i]),
            scaling(found[i]),
            index.samples.label[places[i]].tolist(),
            answers.distance[i, :COLUMNS],
            index.samples.anomaly[places[i]].to_numpy(),
        )
        for i in range(len(places))
    ]


def _draw(path: Path, rows: "list[Row]", cell: Cell) -> None:
    from hourglass.evaluation.figures import save
    from hourglass.studies.search.contact_sheet import sheet

    title = f"nearest by the code of {cell.name}: label and distance; framed: an anomaly"
    with atomic_file(path) as temporary:
        save(sheet(rows, title), temporary)
    print(f"the contact sheet is {path.as_posix()}")
