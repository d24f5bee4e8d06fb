"""Where things stand: one place that knows the paths of the workspace."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from hourglass.errors import Refusal

# Relative: a stage works in the current folder, which `dvc exp run --temp` makes a copy.
CONFIGS = Path("configs")
PARAMS = Path("params.yaml")
# What `train` writes to a cell's folder.
TRAINED = (
    "weights.safetensors",
    "network.json",
    "settings.yaml",
    "history.csv",
    "training.json",
    "run_id",
)
# What `calibrate-threshold` adds to it.
CALIBRATED = ("threshold.json", "thresholds.json", "detector.json", "reference.safetensors")
CELLS, CELLS_STAGE = Path("runs/.cells"), "cells"  # for DVC: a file a cell, and who writes it
LONGEST = 64  # characters of a name: a cell's two, and what is put around them, are a file's name
# What Windows takes for a device, whatever the folder: nobody could check such a workspace out.
DEVICES = re.compile(r"con|prn|aux|nul|com\d|lpt\d", re.IGNORECASE)
LEADERBOARD = Path("reports/leaderboard.csv")
CODES = Path("reports/codes.csv")
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
    return Path("data/prepared") / checked(data)


def baselines_file(data: str) -> Path:
    """Return the file with the metrics of a data set's baselines."""
    return Path("runs") / checked(data) / "baselines.json"


def references_folder(data: str) -> Path:
    """Return the folder of what a data set's codes are compared with."""
    return Path("runs") / checked(data) / "references"


def need_baselines(data: str) -> Path:
    """Return that file; raises a Refusal where `baselines` has not written it."""
    path = baselines_file(data)
    if not path.exists():
        command = f"hourglass baselines {data}"
        raise Refusal(f"{path.as_posix()} is missing; run `{command}` or `dvc repro` first.")
    return path


def checked(name: str) -> str:
    """Return the name of a data set, variant or settings file, which stays within its folder.

    Raises a Refusal for any other, on every system: separators, dots, devices, and what is too long
    for a file's name.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise Refusal(f"{name[:LONGEST]!r} is no name: use letters, digits, '_' and '-' only.")
    if len(name) > LONGEST:
        raise Refusal(
            f"{name[:LONGEST]!r} is not even the whole name: use {LONGEST} characters at most."
        )
    if DEVICES.fullmatch(name):
        raise Refusal(f"{name!r} is a device on Windows and no name: add a letter to it.")
    return name


@dataclass(frozen=True)
class Cell:
    """One experiment: a data set and a variant, and the files of its folder."""

    data: str
    model: str

    def __post_init__(self) -> None:
        checked(self.data)
        checked(self.model)
        if self.folder == references_folder(self.data):
            raise Refusal(f"{self.model!r} is no name: what codes are compared with bears it.")

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

    def need_training(self) -> None:
        """Raise a Refusal where `train` has not left all of its files."""
        for file in TRAINED:
            self.need(file, "train")

    def need_calibration(self) -> None:
        """Raise a Refusal where `train` or `calibrate-threshold` has not left all of its files."""
        self.need_training()
        for file in CALIBRATED:
            self.need(file, "calibrate-threshold")

    def need(self, file: str, stage: str) -> Path:
        """Return the path of a file that an earlier stage wrote.

        Raises a Refusal that names the stage where the file is missing.
        """
        path = self.folder / file
        if not path.exists():
            command = f"hourglass {stage} {self.data} {self.model}"
            raise Refusal(f"{path.as_posix()} is missing; run `{command}` or `dvc repro` first.")
        return path
