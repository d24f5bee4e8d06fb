"""Stage `cells`: what DVC could not see otherwise, or only at a price, as files to depend on."""

from pathlib import Path

from hourglass.files import code_digest, whole_folder, write_json
from hourglass.settings import cell_config, params
from hourglass.workspace import CELLS, Cell

PACKAGE = Path(__file__).parents[1]
# The code of a study. Listed by the stage of every cell, a third of a second in each `dvc repro`.
STUDY = (
    *("classification", "compression", "data/packed.py", "data/scaling.py"),
    *("detection/scoring.py", "detection/threshold.py", "figures", "generation", "latent"),
    *("networks", "restoration", "scorers", "stages/study.py", "training/corruption.py"),
    "weights.py",
)


def cells() -> Path:
    """Write for every cell of the grid what it has of its own, to runs/.cells.

    DVC cannot depend on a file that may not be there, and most cells have none in configs/cell:
    their file here says {}. `train` depends on its cell's file, so a cell that is tuned is trained
    again, and no other. study.json is a digest of the code of studies, on which they all depend.
    """
    own = params()
    with whole_folder(CELLS) as folder:
        for data in own.data:
            for cell in (Cell(data, model) for model in own.models):
                write_json(folder / f"{cell.name}.json", cell_config(cell))
        write_json(folder / "study.json", {"code": code_digest(PACKAGE / each for each in STUDY)})
    return CELLS
