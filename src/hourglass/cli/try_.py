"""Command `try`: a file of the user -> a workspace with a detector, a page and ranked samples."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

from hourglass.cli.add import print_plan
from hourglass.cli.data_plan import DataPlan, plan_data_set
from hourglass.cli.data_set_yaml import data_set_yaml
from hourglass.cli.init import create_workspace
from hourglass.cli.own_data import stored, with_intervals
from hourglass.cli.roles import make_roles
from hourglass.cli.template import workspace_files
from hourglass.cli.try_summary import summary_lines
from hourglass.core.atomic import atomic_folder, load_plain_yaml, write_text
from hourglass.core.errors import UserError, printable
from hourglass.core.paths import CONFIGS, MAX_NAME_LENGTH, PARAMS, Cell, valid_name
from hourglass.core.yaml_edit import edited_yaml

ALPHAS = (0.05, 0.1, 0.2)  # false-alarm rates of the threshold, by preference
STAGE = re.compile(r"(?:Running stage|Stage) '([^']*)'(.*)")
SCORERS = "hourglass.detection.scorers."
FEATURES_FOUND = (
    "The variant is `feature`: defects of photographs stand out in the features of a pretrained "
    "network more than in pixels."
)
FEATURES_LACKING = (
    "The variant is `convolutional`. `feature` finds defects of photographs better; it needs "
    "`pip install 'hourglass[features]'`."
)
# Settings of `ensemble` on windows: strong noise detects better.
SERIES_ENSEMBLE = {"noise_factor": 1.0, "batch_share": 1.0}


def try_(
    path: Path,
    label: str | None = None,
    normal: str | None = None,
    time: str | None = None,
    entity: str | None = None,
    intervals: Path | None = None,
    id: str | None = None,
    drop: str | None = None,
    rows: bool = False,
    skip_damaged: bool = False,
    out: Path | None = None,
) -> None:
    """Find the anomalies of a file: train, calibrate, rank all samples and write a page.

    Creates a workspace for the file, trains one variant that suits it, compares it with baselines,
    and writes ranked.csv: all samples, the most abnormal first, with scores, p-values, alarms and
    the features, or heat maps, that explain them. The same command again continues, or starts
    again after a change of the file.

    A table whose column of times has regular steps is a time series: its rows are scored in windows
    of the rows around them, and events.csv has a row per event, the most abnormal first.

    Args:
        path: a table (.csv, .xlsx, .jsonl, .parquet and others), a folder or a pattern of tables, a
            folder of images with one subfolder per class or without any, a table of paths of
            images, an .npz file with an array x and, for classes, an array y, or a file, folder or
            pattern of vectors
        label: the column of labels, to measure the quality; without it, all rows count as normal
        normal: the labels of normal samples, separated by commas (a label with a comma in double
            quotes); by default the most frequent label, and for images the folder called good,
            normal or ok
        time: the column of numbers or dates that the splits follow; if its steps are regular, the
            rows are a time series, scored in windows
        entity: the column that tells several time series apart, such as a machine, or file if each
            file is one
        intervals: the anomalous stretches of a time series: a .csv file with columns start and end,
            or a .json file with a list of [start, end], to measure the quality
        id: the column of row ids
        drop: columns to ignore, separated by commas
        rows: treat the rows of a time series as independent
        skip_damaged: skip image files that cannot be read, and name them
        out: the folder of the workspace; by default hourglass-<name of the file>

    Examples:
        hourglass try pumps.csv
        hourglass try pumps.csv --label state --normal ok
        hourglass try machines.csv --entity machine --intervals faults.csv
        hourglass try photos/castings

    """
    start = perf_counter()
    roles = make_roles(label, normal, time, entity, intervals, id, drop, rows, skip_damaged)
    name, path = _name(path), path.expanduser()
    folder = out or Path(f"hourglass-{name}")
    source = path.absolute()
    command = printable(f"hourglass try {shlex.quote(str(source))}{roles.options()}")
    if folder.resolve().is_relative_to(path.resolve()):
        raise UserError(
            f"the workspace {folder} would lie in the folder of images {path}; name a folder "
            "outside with --out."
        )
    is_new = _check_folder(folder, name, command)
    from hourglass.networks.backbones import has_weights

    plan = plan_data_set(path, roles, ALPHAS, features=has_weights())
    print_plan(name, plan)
    if plan.suits_features:
        print(f"{name}: {FEATURES_FOUND if has_weights() else FEATURES_LACKING}")
    plan = replace(plan, suits_features=plan.suits_features and has_weights())
    cell = Cell(name, _variant(plan))
    if is_new:
        with atomic_folder(folder) as temporary:
            create_workspace(temporary.absolute(), [name], [cell.model], git=False)
            with chdir(temporary):
                place = _write_settings(plan, name, source, command)
    else:
        with chdir(folder):
            place = _write_settings(plan, name, source, command)
    print(f"workspace: {folder}", flush=True)
    with chdir(folder):
        _run_pipeline()
        from hourglass.cli.ranked import rank_samples

        print("  scoring all samples", flush=True)
        ranked = rank_samples(cell, plan, Path(place), roles.id, roles.skip_damaged)
        print(f"\ndone in {perf_counter() - start:.0f} s:")
        for line in summary_lines(cell, plan, ranked, folder):
            print(f"  {printable(line)}")
    print("next:")
    file = place if plan.converted is not None else os.path.relpath(source, folder.absolute())
    for line in _next_commands(cell, plan, file, folder):
        print(f"  {line}")


def _name(path: Path) -> str:
    """Return the name of the data set, from the name of the file, or the folder of a pattern."""
    from hourglass.data.readers.user_files import fixed_part

    stem = fixed_part(str(path)).resolve().stem
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-_")
    return valid_name(name[:MAX_NAME_LENGTH] or "data")


def _check_folder(folder: Path, name: str, command: str) -> bool:
    """Return whether the workspace is to be created; raise a UserError for any other folder."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return True
    settings = folder / CONFIGS / "data" / f"{name}.yaml"
    if settings.exists() and _written_by(settings).split(" --")[0] == command.split(" --")[0]:
        return False
    raise UserError(
        f"{folder} exists and is not a workspace of this file; name another folder with --out, or "
        "use `hourglass add` in a workspace."
    )


def _written_by(settings: Path) -> str:
    """Return the command in the first line of a data set's file, "" if there is none."""
    match = re.match(r"# Written by `(hourglass try [^`]*)`", settings.read_text(encoding="utf-8"))
    return match.group(1) if match else ""


def _variant(plan: DataPlan) -> str:
    """Return the variant that detects best on average."""
    from hourglass.training.suggested_sizes import table_variant

    if plan.is_images:
        return "feature" if plan.suits_features else "convolutional"
    if plan.is_series:
        return "ensemble"
    return table_variant([each.column for each in plan.decisions if each.column])


def _scorer(plan: DataPlan) -> dict[str, Any]:
    """Return the score that detects best on average (docs/how-to/try.md has the figures).

    For tables with labels, and for windows of a series, it includes the distance to the nearest
    normal ones. Without labels, unknown anomalies are near each other and well reconstructed, but
    hardly change the mean and covariance of the codes: the score is the Mahalanobis distance, for
    the ensemble alone. The score of features is that of their variant.
    """
    if plan.suits_features:
        return {"class_path": f"{SCORERS}ModelScore"}
    if plan.is_images:
        return {"class_path": f"{SCORERS}RelativeError"}
    error = "ModelScore" if plan.is_series else "StandardizedError"
    distance: dict[str, Any] = {"class_path": f"{SCORERS}Neighbors", "init_args": {"of": "input"}}
    if plan.labels is None and not plan.is_series:
        distance = {"class_path": f"{SCORERS}Mahalanobis"}
        if _variant(plan) == "ensemble":
            return distance
    parts = [{"class_path": f"{SCORERS}{error}"}, distance]
    return {"class_path": f"{SCORERS}Combined", "init_args": {"parts": parts}}


def _write_settings(plan: DataPlan, name: str, source: Path, command: str) -> str:
    """Copy the data, and write the settings unless they are of this command.

    Sets the score, and the false-alarm rate that the number of samples allows. Returns the path of
    the data in the workspace.
    """

    def change(document: Any) -> None:
        if _variant(plan) not in document["models"]:  # other options than those of the workspace
            document["models"].insert(0, _variant(plan))
        document["score"] = _scorer(plan)
        document["calibration"]["init_args"]["alpha"] = plan.alpha
        if plan.is_images:
            document["pixel_threshold"]["image_rate"] = plan.alpha

    settings = CONFIGS / "data" / f"{name}.yaml"
    with stored(plan, name, source) as place:
        plan = with_intervals(plan, name)
        if not settings.exists() or _written_by(settings) != command:
            write_text(PARAMS, edited_yaml(PARAMS, change))
            if _variant(plan) == "ensemble":
                _write_ensemble(plan.is_series)
            write_text(settings, data_set_yaml(plan, place, command, _variant(plan)))
    return place


def _write_ensemble(is_series: bool) -> None:
    """Write the settings of `ensemble` for windows of a series, or those of new workspaces.

    The workspace has one data set, so that they apply to nothing else.
    """
    path = CONFIGS / "model/ensemble.yaml"
    template = load_plain_yaml(workspace_files()[path.as_posix()])["init_args"]
    values = SERIES_ENSEMBLE if is_series else {key: template[key] for key in SERIES_ENSEMBLE}

    def change(document: Any) -> None:
        document["init_args"].update(values)

    write_text(path, edited_yaml(path, change))


def _run_pipeline() -> None:
    """Run `hourglass repro`, and print a line per stage.

    Raises a UserError if it fails; DVC and the stage have then printed the reason.
    """
    stages = len(load_plain_yaml(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"])
    process = subprocess.Popen(
        [sys.executable, "-m", "hourglass", "repro"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    with process:
        for number, (stage, skipped) in enumerate(_stages(process.stdout), 1):
            done = "  (unchanged)" if skipped else ""
            print(f"  {number} of {stages}: {stage}{done}", flush=True)
    if process.returncode:
        raise UserError("the pipeline stopped; correct the error above and run the command again.")


def _stages(lines: Iterator[str]) -> Iterator[tuple[str, bool]]:
    """Yield the stages that DVC starts, and whether it skips them."""
    for line in lines:
        match = STAGE.match(line)
        if match:
            yield match.group(1), "skipping" in match.group(2)


def _next_commands(cell: Cell, plan: DataPlan, file: str, folder: Path) -> list[str]:
    """Return the next commands, which work as they are."""
    skip = " --missing skip" if "missing" in plan.init_args else ""
    options = f"{shlex.quote(file)}{skip}"
    commands = [
        f"cd {shlex.quote(str(folder))}",
        f"hourglass score {cell.data} {cell.model} {options}    # or new samples",
    ]
    if _can_tune(folder / cell.prepared):
        commands.append(f"hourglass tune {cell.data} {cell.model} --trials 20 --apply")
    return commands


def _can_tune(prepared: Path) -> bool:
    """Return whether the tuning split has anomalies, or normal samples enough to make some."""
    from hourglass.data.prepared_data import Prepared
    from hourglass.tuning.objectives.detection import MIN_NORMAL_SAMPLES

    counts = Prepared.open(prepared).card["splits"]["tuning"]
    return counts["anomalies"] > 0 or counts["normal"] >= MIN_NORMAL_SAMPLES
