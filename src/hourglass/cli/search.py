"""Command `search`: find the samples of a data set nearest to queries in latent space."""

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from hourglass.cli.output_paths import check_output
from hourglass.core.atomic import atomic_file
from hourglass.core.errors import UserError
from hourglass.core.paths import Cell
from hourglass.core.progress import step
from hourglass.core.suggestions import counted

if TYPE_CHECKING:
    import pandas as pd

    from hourglass.data.prepared_data import Prepared
    from hourglass.detection.detector import Detector
    from hourglass.studies.search.contact_sheet import SheetRow
    from hourglass.studies.search.index import Index
    from hourglass.studies.search.queries import SearchResults

INDEX_FOLDER = Path("reports/search")
MAX_SHEET_QUERIES = 20


def search(
    data: str,
    model: str,
    query: str,
    top: int = 10,
    resize: bool = False,
    out: Path | None = None,
) -> Path:
    """Find the samples of a data set that are nearest to queries in latent space.

    Writes a table with one row per query and neighbour: query, rank (1 is the nearest), id, split,
    label, anomaly, and the Euclidean distance between the latent codes. For images, also writes a
    contact sheet of the first 20 queries, a .png of the same name.

    Samples of all five splits are searched. The first search builds the index of a cell,
    reports/search/<data>-<model>. It is rebuilt if the weights or the data change.

    Args:
        data: a data set, by the name of its file in configs/data
        model: a variant, by the name of its file in configs/model
        query: a table (.csv, .parquet), an .npz file with an array x, an image, a folder of images,
            or the id of a sample of the data set, which is excluded from the results
        top: number of neighbours per query
        resize: resize images of another size
        out: the table to write, .csv or .parquet; by default <query>-neighbours.csv in the working
            folder

    Examples:
        hourglass search digits denoising new.png
        hourglass search digits denoising digits/7 --top 5

    """
    # The file or folder is resolved because "." has no name; an id may contain slashes.
    stem = Path(query).resolve().stem if Path(query).exists() else re.sub(r"[^\w.-]+", "-", query)
    path = out or Path(f"{stem}-neighbours.csv")
    check_output(path, (".csv", ".parquet"), Path(query), path.with_suffix(".png"))
    if Path(query).resolve() in path.resolve().parents:  # the contact sheet would become a query
        raise UserError(f"out is {path}, in the folder of queries; name a file elsewhere.")
    if top < 1:
        raise UserError(f"top is {top}, but must be at least 1.")
    from hourglass.data.prepared_data import Prepared
    from hourglass.detection.detector import Detector

    cell = Cell(data, model)
    detector, prepared = Detector.of_cell(cell), Prepared.open(cell.prepared)
    index = _load_or_build_index(cell, detector, prepared)
    results = _search(query, detector, prepared, index, top, resize)
    with step(f"search {counted(len(index), 'sample')} of {cell.name}"):
        first, rows = _write(path, results, index, prepared)
    print(first.to_markdown(index=False, floatfmt=".4g"))
    print(f"the table is {path.as_posix()}")
    if rows:
        from hourglass.evaluation.figures import save
        from hourglass.studies.search.contact_sheet import draw_sheet

        title = f"nearest by the code of {cell.name}: label and distance; anomalies are framed"
        sheet_path = path.with_suffix(".png")
        with atomic_file(sheet_path) as temporary:
            save(draw_sheet(rows, title), temporary)
        print(f"the contact sheet is {sheet_path.as_posix()}")
    return path


def _load_or_build_index(cell: Cell, detector: "Detector", prepared: "Prepared") -> "Index":
    """Return the index of a cell; if it must be built, print the reason."""
    from hourglass.studies.search.index import Index, UnusableIndexError, index_origin

    folder = INDEX_FOLDER / cell.name
    try:
        return Index.read(folder, index_origin(detector, prepared))
    except UnusableIndexError as reason:
        print(f"{reason}: indexing {cell.data}")
    index = Index.build(detector, prepared)
    index.write(folder)
    return index


def _search(
    query: str,
    detector: "Detector",
    prepared: "Prepared",
    index: "Index",
    top: int,
    resize: bool,
) -> "Iterator[SearchResults]":
    """Return the results for a query: all samples of a file or folder, or one sample by its id."""
    from hourglass.studies.search.queries import search_file, search_sample

    if Path(query).exists():
        return search_file(Path(query), detector, index, top, resize)
    place = index.find(query)
    if place is None:
        raise UserError(
            f"{query} is not a file, a folder or an id of {prepared.card['data']}; give one of "
            f"these, for example the id {index.samples.id[0]}."
        )
    return iter([search_sample(place, prepared, index, top)])


def _write(
    path: Path, results: "Iterator[SearchResults]", index: "Index", prepared: "Prepared"
) -> "tuple[pd.DataFrame, list[SheetRow]]":
    """Write the table; return the rows of its first query, and the rows of the contact sheet."""
    from hourglass.detection.score_writer import open_writer
    from hourglass.networks import is_image

    first_results = next(results)  # raises a UserError if there are no samples
    first, top = first_results.table(index), first_results.neighbour.shape[1]
    rows: list[SheetRow] = []
    count, seconds = 0, 0.0
    with atomic_file(path) as temporary, open_writer(temporary, first.schema) as file:
        for chunk in chain([first_results], results):
            file.write_batch(chunk.table(index))
            if is_image(prepared.sample_shape) and len(rows) < MAX_SHEET_QUERIES:
                rows += _sheet_rows(chunk, MAX_SHEET_QUERIES - len(rows), index, prepared)
            count, seconds = count + len(chunk.id), seconds + chunk.seconds
    per_query = "" if count == 1 else f" per query, for {count:,} queries"
    print(f"{top} nearest of {len(index):,} samples in {1000 * seconds / count:.1f} ms{per_query}")
    return first.slice(0, top).to_pandas().drop(columns="query"), rows


def _sheet_rows(
    results: "SearchResults", limit: int, index: "Index", prepared: "Prepared"
) -> "list[SheetRow]":
    """Return at most `limit` queries as rows of a contact sheet."""
    from hourglass.studies.search.contact_sheet import MAX_NEIGHBOURS, SheetRow
    from hourglass.studies.search.queries import indexed_samples

    scaling, places = prepared.scaling, results.neighbour[:limit, :MAX_NEIGHBOURS]
    images = indexed_samples(prepared, places.ravel())
    images = images.reshape(*places.shape, *images.shape[1:])
    return [
        SheetRow(
            str(results.id[i]),
            scaling(results.x[i]),
            scaling(images[i]),
            index.samples.label[places[i]].tolist(),
            results.distance[i, :MAX_NEIGHBOURS],
            index.samples.anomaly[places[i]].to_numpy(),
        )
        for i in range(len(places))
    ]
