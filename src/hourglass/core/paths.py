"""Where things stand: one place that knows the paths of the workspace."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from hourglass.core.errors import UserError

# Relative: a stage works in the current folder, which `dvc exp run --temp` makes a copy.
CONFIGS = Path("configs")
PARAMS = Path("params.yaml")
# The output folder of each stage of a cell, below runs/<data>/<model>.
STAGE_FOLDERS = {
    "train": "train",
    "calibrate-threshold": "calibrate",
    "evaluate": "evaluate",
    "study": "study",
}
SNAPSHOT = Path("runs/.snapshot")  # settings and code digests, for DVC stages to depend on
LONGEST = 64  # characters of a name: a cell's two, and what is put around them, are a file's name
# What Windows takes for a device, whatever the folder: nobody could check such a workspace out.
DEVICES = re.compile(r"con|prn|aux|nul|com\d|lpt\d", re.IGNORECASE)
LEADERBOARD = Path("reports/leaderboard.csv")
CODES = Path("reports/codes.csv")
METRICS = Path("reports/metrics.json")
PLOTS = Path("reports/plots")
PAGE = Path("reports/index.html")
SHARED_PAGE = Path("reports/shared/index.html")  # for MLflow: without the rows of tables


def root() -> Path:
    """Return the project's folder, also where DVC runs an experiment in a copy of it.

    Raw data, MLflow's store and whatever else outlives one experiment stands there.
    """
    return Path(os.environ.get("DVC_ROOT", ".")).absolute()


def raw_folder() -> Path:
    """Return the folder of raw files: HOURGLASS_DATA, or data/raw."""
    return root() / os.environ.get("HOURGLASS_DATA", "data/raw")


def prepared_folder(data: str) -> Path:
    """Return the folder that `prepare` fills for a data set."""
    return Path("data/prepared") / valid_name(data)


def baselines_file(data: str) -> Path:
    """Return the file with the metrics of a data set's baselines."""
    return Path("runs") / valid_name(data) / "baselines.json"


def references_folder(data: str) -> Path:
    """Return the folder of what a data set's codes are compared with."""
    return Path("runs") / valid_name(data) / "references"


def need_baselines(data: str) -> Path:
    """Return that file; raises a UserError where `baselines` has not written it."""
    path = baselines_file(data)
    if not path.exists():
        command = f"hourglass baselines {data}"
        raise UserError(f"{path.as_posix()} is missing; run `{command}` or `dvc repro` first.")
    return path


def valid_name(name: str) -> str:
    """Return the name of a data set, variant or settings file, which stays within its folder.

    Raises a UserError for any other, on every system: separators, dots, devices, and what is too long
    for a file's name.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise UserError(f"{name[:LONGEST]!r} is no name: use letters, digits, '_' and '-' only.")
    if len(name) > LONGEST:
        raise UserError(
            f"{name[:LONGEST]!r} is not even the whole name: use {LONGEST} characters at most."
        )
    if DEVICES.fullmatch(name):
        raise UserError(f"{name!r} is a device on Windows and no name: add a letter to it.")
    return name


@dataclass(frozen=True)
class Cell:
    """One experiment: a data set and a variant, and the files of its folder."""

    data: str
    model: str

    def __post_init__(self) -> None:
        valid_name(self.data)
        valid_name(self.model)
        if self.folder == references_folder(self.data):
            raise UserError(f"{self.model!r} is no name: what codes are compared with bears it.")

    @property
    def name(self) -> str:
        """Return the name that DVC and MLflow show."""
        return f"{self.data}-{self.model}"

    @property
    def config(self) -> Path:
        """Return the file of the settings that this one cell has of its own, if it has any."""
        return CONFIGS / "cell" / f"{self.name}.yaml"

    @property
    def default_record(self) -> Path:
        """Return the file of what the cell had found before it was tuned, if it was."""
        return self.config.with_suffix(".default.json")

    @property
    def prepared(self) -> Path:
        """Return the folder of prepared arrays."""
        return prepared_folder(self.data)

    @property
    def folder(self) -> Path:
        """Return the folder that the stages fill."""
        return Path("runs") / self.data / self.model

    @property
    def resume(self) -> Path:
        """Return the folder of a training under way; not among DVC's outputs, which it deletes."""
        return Path("checkpoints") / self.name

    def __truediv__(self, file: str) -> Path:
        """Return the path of one of the cell's files."""
        return self.folder / file

    @property
    def tracking(self) -> Path:
        """Return the folder of run ids and timings, which differ in each run: DVC does not see it."""
        return self.folder / "tracking"

    def output(self, stage: str) -> Path:
        """Return the folder that a stage writes, whole or not at all."""
        return self.folder / STAGE_FOLDERS[stage]

    def need(self, *stages: str) -> None:
        """Raise a UserError that names the first of the stages that has left no output."""
        for stage in stages:
            path = self.output(stage)
            if not path.is_dir():
                command = f"hourglass {stage} {self.data} {self.model}"
                raise UserError(
                    f"{path.as_posix()} is missing; run `{command}` or `dvc repro` first."
                )
