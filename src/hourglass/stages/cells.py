"""Stage `cells`: configs/cell -> one file a cell, so that DVC sees which of them has changed."""

from pathlib import Path

from hourglass.files import whole_folder, write_json
from hourglass.settings import cell_config, params
from hourglass.workspace import CELLS, Cell


def cells() -> Path:
    """Write for every cell of the grid what it has of its own, to runs/.cells.

    DVC cannot depend on a file that may not be there, and most cells have none in configs/cell:
    their file here says {}. `train` depends on its cell's file, so a cell that is tuned is trained
    again, and no other.
    """
    own = params()
    with whole_folder(CELLS) as folder:
        for data in own.data:
            for cell in (Cell(data, model) for model in own.models):
                write_json(folder / f"{cell.name}.json", cell_config(cell))
    return CELLS
