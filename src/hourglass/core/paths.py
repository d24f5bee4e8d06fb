"""Paths of the workspace and of its cells, each a data set and a variant."""

import os
import re
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path

from hourglass.core.errors import UserError
from hourglass.core.suggestions import unknown_name

# Relative paths, because `dvc exp run --temp` runs stages in a copy of the workspace.
CONFIGS = Path("configs")
PARAMS = Path("params.yaml")
SOURCES = Path("src")  # modules of the user and, in a checkout, this package
WORKSPACE_RECORD = Path(".hourglass.json")  # what `hourglass init` wrote, for upgrades
RUNS = Path("runs")
PREPARED = Path("data/prepared")
# The output folder of each stage of a cell, below runs/<data>/<model>.
STAGE_FOLDERS = {
    "train": "train",
    "calibrate-threshold": "calibrate",
    "evaluate": "evaluate",
    "study": "study",
}
SNAPSHOT = Path("runs/.snapshot")  # settings and code digests, for DVC stages to depend on
LEADERBOARD = Path("reports/leaderboard.csv")
CODES = Path("reports/codes.csv")
METRICS = Path("reports/metrics.json")
PLOTS = Path("reports/plots")
PAGE = Path("reports/index.html")
SHARED_PAGE = Path("reports/shared/index.html")  # page for MLflow, without the rows of tables
STUDIES = Path("reports/tune")  # one folder per study of `tune`: its figures and study.json
MAX_NAME_LENGTH = 64  # maximum length: two names and a suffix must fit into a file name
# Device names of Windows, which are invalid as file names there: git could not check them out.
WINDOWS_DEVICES = re.compile(r"con|prn|aux|nul|com\d|lpt\d", re.IGNORECASE)


def root() -> Path:
    """Return the original project folder, even if DVC runs an experiment in a copy.

    The original holds raw data, MLflow's store and other files that outlive an experiment.
    """
    return Path(os.environ.get("DVC_ROOT", ".")).absolute()


def is_workspace(folder: Path) -> bool:
    """Return whether a folder is a workspace, that is, has params.yaml and configs/."""
    return (folder / PARAMS).is_file() and (folder / CONFIGS).is_dir()


def require_workspace() -> None:
    """Raise a UserError if the working folder is not a workspace, and say where one is."""
    here = Path.cwd()
    if is_workspace(here):
        return
    for steps, parent in enumerate(here.parents, 1):
        if is_workspace(parent):
            raise UserError(
                f"{here} is inside the workspace {parent}; run the command there, after "
                f"`cd {'/'.join(['..'] * steps)}`."
            )
    raise UserError(
        f"{here} is not a workspace, as it has no {PARAMS} and {CONFIGS}/; `hourglass init DIR` "
        "creates one, and `hourglass try FILE` needs none."
    )


def inside(workspace: str | Path) -> "chdir[Path]":
    """Return a context that works in a workspace, because the paths of its files are relative.

    Raises a UserError if it is not a folder.
    """
    folder = Path(workspace)
    if not folder.is_dir():
        raise UserError(f"workspace is {workspace}, which is not a folder; name one with runs/.")
    return chdir(folder)


def sqlite_url(file: Path, **options: str) -> str:
    """Return the SQLAlchemy URL of a SQLite file; special characters of the path are escaped.

    The URL names the driver, since MLflow creates folders of the escaped path for `sqlite:///`.
    """
    from sqlalchemy import URL

    url = URL.create("sqlite+pysqlite", database=file.as_posix(), query=options)
    return url.render_as_string()


def raw_folder() -> Path:
    """Return the folder of raw files: HOURGLASS_DATA, by default data/raw."""
    return root() / os.environ.get("HOURGLASS_DATA", "data/raw")


def prepared_folder(data: str) -> Path:
    """Return the output folder of `prepare` for a data set."""
    return PREPARED / valid_name(data)


def baselines_file(data: str) -> Path:
    """Return the path of the metrics of a data set's baselines."""
    return RUNS / valid_name(data) / "baselines.json"


def references_folder(data: str) -> Path:
    """Return the folder of reference results that studies of a data set compare with."""
    return RUNS / valid_name(data) / "references"


def require_baselines(data: str) -> Path:
    """Return the path of the baselines' metrics; raise a UserError if the file is missing."""
    path = baselines_file(data)
    if not path.exists():
        require_known(data)
        raise _missing(path, f"hourglass baselines {data}")
    return path


def _missing(path: Path, command: str, experiment: str | None = None) -> UserError:
    ways = f"run `{command}` or `dvc repro` first"
    if experiment:
        ways = f"`dvc exp apply {experiment}` restores the experiment that has it, or {ways}"
    # Other variants on the same data set whose stage has run.
    others = sorted(other.parts[2] for other in RUNS.glob(f"{path.parts[1]}/*/{path.name}"))
    existing = f"; on {path.parts[1]} it exists for {', '.join(others)}" if others else ""
    return UserError(f"{path.as_posix()} is missing; {ways}{existing}.")


def require_known(data: str, model: str | None = None) -> None:
    """Raise a UserError for a name without a file in configs/, with the nearest name."""
    for kind, name in (("data", data), ("model", model)):
        path = CONFIGS / kind / f"{name}.yaml"
        if name is not None and path.parent.is_dir() and not path.exists():
            raise unknown_name(path)


def valid_name(name: str) -> str:
    """Return `name` if it is valid for a data set, a variant or a settings file.

    Raises a UserError if the name could escape its folder, is reserved by Windows, or is too long
    for a file name. The rules are the same on every operating system.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise UserError(
            f"{name[:MAX_NAME_LENGTH]!r} is not a valid name; use letters, digits, '_' and '-'."
        )
    if len(name) > MAX_NAME_LENGTH:
        raise UserError(
            f"the name that begins with {name[:MAX_NAME_LENGTH]!r} is too long; use at most "
            f"{MAX_NAME_LENGTH} characters."
        )
    if WINDOWS_DEVICES.fullmatch(name):
        raise UserError(f"{name!r} is not a valid name: Windows reserves it; add a letter to it.")
    return name


@dataclass(frozen=True)
class Cell:
    """A cell of the grid, that is, a data set and a variant, with the paths of its files."""

    data: str
    model: str

    def __post_init__(self) -> None:
        valid_name(self.data)
        valid_name(self.model)
        if self.folder == references_folder(self.data):
            raise UserError(
                f"{self.model!r} is not a valid name of a variant: the folder of reference "
                "results has this name; choose another."
            )

    @property
    def name(self) -> str:
        """Return the name of the cell in DVC and MLflow."""
        return f"{self.data}-{self.model}"

    @property
    def title(self) -> str:
        """Return the name of the cell in figures."""
        return f"{self.model} on {self.data}"

    @property
    def config(self) -> Path:
        """Return the path of the settings of this cell; the file is optional."""
        return CONFIGS / "cell" / f"{self.name}.yaml"

    @property
    def default_record(self) -> Path:
        """Return the path of the results before tuning; the file exists only for a tuned cell."""
        return self.config.with_suffix(".default.json")

    @property
    def prepared(self) -> Path:
        """Return the folder of prepared arrays."""
        return prepared_folder(self.data)

    @property
    def folder(self) -> Path:
        """Return the folder of all stage outputs."""
        return RUNS / self.data / self.model

    @property
    def resume(self) -> Path:
        """Return the checkpoint folder of a training; not a stage output, as DVC deletes those."""
        return Path("checkpoints") / self.name

    def __truediv__(self, file: str) -> Path:
        """Return the path of a file below the folder of the cell."""
        return self.folder / file

    @property
    def tracking(self) -> Path:
        """Return the folder of run ids and timings, which differ per run; DVC does not track it."""
        return self.folder / "tracking"

    def output(self, stage: str) -> Path:
        """Return the output folder of a stage; if the folder exists, it is complete."""
        return self.folder / STAGE_FOLDERS[stage]

    def require(self, *stages: str) -> None:
        """Raise a UserError for the first of the stages without an output folder.

        The error names the newest DVC experiment that has the cell, if any, or the nearest name.
        """
        for stage in stages:
            path = self.output(stage)
            if not path.is_dir():
                from hourglass.core.experiments import experiment_with

                experiment = experiment_with(self.data, self.model)
                if not experiment:
                    require_known(self.data, self.model)
                raise _missing(path, f"hourglass {stage} {self.data} {self.model}", experiment)
