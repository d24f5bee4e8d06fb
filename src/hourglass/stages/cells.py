"""Stage `cells`: what DVC could not see otherwise, or only at a price, as files to depend on."""

from pathlib import Path

from hourglass.files import code_digest, whole_folder, write_json
from hourglass.settings import cell_config, params
from hourglass.workspace import CELLS, Cell

PACKAGE = Path(__file__).parents[1]
_INPUTS = (
    *("allocator.py", "data/batches.py", "data/packed.py", "data/scaling.py", "data/streaming.py"),
    *("networks", "seals.py", "weights.py"),
)
_SETTINGS = ("configuration.py", "settings.py")
# The code that the stages of a cell execute, a variant's own file aside. Listed by DVC for each of
# the cells, it would take a second of every `dvc repro`.
CODE = {
    "train": (
        *(*_INPUTS, *_SETTINGS, "data/datamodule.py", "data/residency.py", "models/base.py"),
        *("stages/train.py", "training"),
    ),
    "calibrate-threshold": (
        *(*_INPUTS, *_SETTINGS, "calibration", "detection", "scorers"),
        "stages/calibrate_threshold.py",
    ),
    "evaluate": (
        *(*_INPUTS, "calibration", "detection", "evaluation", "figures", "metrics", "scorers"),
        "stages/evaluate.py",
    ),
    "study": (
        *(
            *_INPUTS,
            "classification",
            "compression",
            "detection/passing.py",
            "detection/scoring.py",
        ),
        *("detection/threshold.py", "figures", "generation", "latent", "restoration", "scorers"),
        *("stages/study.py", "training/corruption.py"),
    ),
}


def cells() -> Path:
    """Write for every cell of the grid what it has of its own, to runs/.cells.

    DVC cannot depend on a file that may not be there, and most cells have none in configs/cell:
    their file here says {}. `train` depends on its cell's file, so a cell that is tuned is trained
    again, and no other. To runs/.cells/code goes, for each stage of the cells, a digest of the code
    that it executes.
    """
    own = params()
    with whole_folder(CELLS) as folder:
        for data in own.data:
            for cell in (Cell(data, model) for model in own.models):
                write_json(folder / f"{cell.name}.json", cell_config(cell))
        for stage, paths in CODE.items():
            digest = code_digest(PACKAGE / each for each in paths)
            write_json(folder / "code" / f"{stage}.json", {"code": digest})
    return CELLS
