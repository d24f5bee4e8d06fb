"""Command `add`: a table or images of the user -> a data set of the workspace."""

import csv
import dataclasses
import io
import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.scalarstring import SingleQuotedScalarString

from hourglass.cli.data_plan import IMAGES, DataPlan, plan_data_set
from hourglass.cli.data_set_yaml import data_set_yaml
from hourglass.cli.roles import make_roles
from hourglass.core.atomic import atomic_file, atomic_folder, write_text
from hourglass.core.errors import UserError, printable
from hourglass.core.paths import CONFIGS, PARAMS, valid_name
from hourglass.core.settings import model_config, params
from hourglass.core.suggestions import counted
from hourglass.core.yaml_edit import edited_yaml
from hourglass.data.readers.user_files import fixed_part

OWN = Path("data/own")
MAX_COPIED_BYTES = 4 << 30


def add(
    name: str,
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
    replace: bool = False,
) -> None:
    """Add your own table, images or vectors to the workspace; other data sets stay.

    Writes configs/data/<name>.yaml with settings that suit the size of the data, and adds the name
    to `data:` in params.yaml. The kinds of all columns are listed there as comments, to be changed.
    A file outside data/own is copied there, so that the pipeline notices when it changes; data of
    more than 4 GB are not copied.

    Vectors, such as activations of a network, come in .safetensors, .npy, .npz or Parquet files;
    see `hourglass activations`.

    A table whose column of times has regular steps is a time series: the rows are scored in windows
    of the rows around them.

    Args:
        name: the name of the data set
        path: a table (.csv, .xlsx, .jsonl, .parquet and others), a folder or a pattern of tables, a
            folder of images with one subfolder per class or without any, a table of paths of
            images, an .npz file with an array x and, for classes, an array y, or a file, folder or
            pattern of vectors
        label: the column, or array beside the vectors, of labels; without it, all rows count as
            normal
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
        replace: replace the data set of this name

    Examples:
        hourglass add pumps pumps.csv --label state --normal ok
        hourglass add castings photos/castings --normal good
        hourglass add machines machines.csv --time measured_at --entity machine

    """
    config = params()
    roles = make_roles(label, normal, time, entity, intervals, id, drop, rows, skip_damaged)
    settings = CONFIGS / "data" / f"{valid_name(name)}.yaml"
    _check_name(name, settings, path, replace)
    names = [name, *(other for other in config.data if other != name)]
    dataclasses.replace(config, data=names)  # checks that no two cells get the same name
    from hourglass.stages.baselines import feature_models

    features = bool(feature_models(config))
    scaling = "none" if _all_sparse(config.models) else "standard"
    plan = plan_data_set(path, roles, _alphas(config.calibration), features, scaling)
    print_plan(name, plan)
    text = PARAMS.read_text(encoding="utf-8")
    if name not in config.data:
        text = edited_yaml(PARAMS, lambda document: _insert(document, name))
    command = f"hourglass add {name} {shlex.quote(str(path))}{roles.options()}"
    with _restored_on_error(settings, PARAMS), stored(plan, name, path) as place:
        plan = with_intervals(plan, name)
        write_text(settings, data_set_yaml(plan, place, command))
        write_text(PARAMS, text)
    print(f"wrote {settings.as_posix()}, with the data in {place}")
    print(f"data sets in params.yaml: {', '.join(names)}")
    on = name if len(names) == 1 else f"each of {len(names)} data sets"
    variants = counted(len(config.models), "variant")
    print(f"next: hourglass repro    # trains {variants} on {on}")
    if plan.suits_features and not features:
        print(
            "of photographs, `feature` finds defects better than pixels do: add it to `models` in "
            "params.yaml first, then run this command again with --replace"
        )
    tracked = _tracked_by_dvc(place)
    if tracked:
        print(f"to share the data: dvc add {shlex.quote(tracked)}    # then `dvc push`")


def _all_sparse(models: Sequence[str]) -> bool:
    """Return whether all variants are sparse autoencoders, which scale vectors themselves."""
    return all(".sparse" in str(model_config(name).get("class_path")) for name in models)


def _alphas(calibration: dict[str, Any]) -> tuple[float, ...]:
    """Return the false-alarm rate of a conformal threshold; () for other calibrators."""
    is_conformal = str(calibration.get("class_path", "")).endswith(".Conformal")
    return (float((calibration.get("init_args") or {}).get("alpha", 0.05)),) if is_conformal else ()


def print_plan(name: str, plan: DataPlan) -> None:
    """Print the content of the file, and what becomes of each column of a table."""
    from hourglass.data.columns.overview import column_lines

    print(printable(f"{name}: {' '.join(plan.content)}"))
    if plan.decisions:
        columns = [decision.to_dict() for decision in plan.decisions]
        print("\n".join(printable(f"  {line}") for line in column_lines(columns)))
    for hint in plan.hints:
        print(printable(hint))


def _tracked_by_dvc(place: str) -> str | None:
    """Return the file or folder of data/own that DVC can track; None if there is none.

    Git ignores .dvc files in subfolders of data/own, so a subfolder is tracked as a whole.
    """
    if not Path(place).is_relative_to(OWN):
        return None
    top = OWN / Path(place).relative_to(OWN).parts[0]
    return top.as_posix() if top.exists() else None


@contextmanager
def stored(plan: DataPlan, name: str, path: Path) -> Iterator[str]:
    """Yield the path of the data for the settings; copy them to data/own unless they are there.

    If the block fails, the copy is removed. Data of more than MAX_COPIED_BYTES are not copied, nor
    tables of images, whose paths are relative to their folder.
    """
    from hourglass.data.readers.image_index import is_index

    source, own = path.resolve(), OWN.resolve()
    if source.is_relative_to(own):
        yield (OWN / source.relative_to(own)).as_posix()
        return
    names_images = plan.class_path == IMAGES and is_index(source)
    if names_images or _bytes(source) > MAX_COPIED_BYTES:
        reason = "it names files elsewhere" if names_images else "it is large"
        print(f"{path} is used where it is, as {reason}; `hourglass prepare {name}` reads it again")
        yield source.as_posix()
        return
    suffix = ".parquet" if plan.converted is not None else _suffix(source)
    target = OWN / (f"{name}{suffix}" if source.is_file() else name)
    existed = target.exists()
    _copy(source, plan, target)
    try:
        yield target.as_posix()
    except BaseException:
        if not existed:
            shutil.rmtree(target) if target.is_dir() else target.unlink()
        raise


def with_intervals(plan: DataPlan, name: str) -> DataPlan:
    """Write labelled intervals to data/own, so that the pipeline notices when they change.

    Returns the plan with the path of the file, the plan itself without intervals.
    """
    if not plan.intervals:
        return plan
    path = OWN / f"{name}-intervals.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO(newline="")
    header = ["start", "end", *filter(None, [plan.init_args.get("entity")])]
    csv.writer(text, lineterminator="\n").writerows([header, *plan.intervals])
    write_text(path, text.getvalue())
    return dataclasses.replace(plan, init_args=plan.init_args | {"intervals": path.as_posix()})


def _copy(source: Path, plan: DataPlan, target: Path) -> None:
    """Copy a file, a folder or the files of a pattern; write rows of an .npz file as Parquet."""
    if not source.is_file():
        with atomic_folder(target) as folder:
            for file in _files(source, plan):
                copy = folder / file.relative_to(fixed_part(str(source)))
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, copy)
        return
    with atomic_file(target) as temporary:
        if plan.converted is not None:
            plan.converted.to_parquet(temporary, index=False)
        else:
            shutil.copy2(source, temporary)


def _files(source: Path, plan: DataPlan) -> Sequence[Path]:
    """Return the images, tables or vectors of a folder, or the tables or vectors of a pattern."""
    if plan.is_vectors:
        from hourglass.data.readers import vector_files

        label = plan.init_args.get("label")  # perhaps a file in the same folder
        return vector_files.find_files(str(source), [Path(label)] if label else [])
    from hourglass.data.readers.image_folders import list_images
    from hourglass.data.readers.table_paths import find_files

    return find_files(source) if plan.is_table else list_images(source).files


def _suffix(path: Path) -> str:
    """Return the suffix of a file, with that of the table in a compressed one."""
    from hourglass.data.readers.table_paths import COMPRESSED, SUFFIXES

    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    is_pair = len(suffixes) == 2 and suffixes[1] in COMPRESSED and suffixes[0] in SUFFIXES
    return "".join(suffixes if is_pair else suffixes[-1:])


def _bytes(path: Path) -> int:
    fixed = fixed_part(str(path))
    pattern = "**/*" if fixed == path else str(path.relative_to(fixed))
    files = [path] if path.is_file() else fixed.glob(pattern)
    return sum(file.stat().st_size for file in files if file.is_file())


def _check_name(name: str, settings: Path, path: Path, replace: bool) -> None:
    """Raise a UserError if there is a data set, or other data of the user, of this name."""
    # On some file systems, names that differ in case only are the same.
    taken = {file.stem.lower(): file for file in settings.parent.glob("*.yaml")}
    other = taken.get(name.lower())
    if other and (other != settings or not replace):
        raise UserError(
            f"there is a data set {other.stem!r} ({other.as_posix()}); choose another name"
            + (", or add --replace." if other == settings else ".")
        )
    if not replace:
        source = path.resolve()
        for file in OWN.glob(f"{name}*"):
            if name in (file.name, file.stem) and not source.is_relative_to(file.resolve()):
                raise UserError(
                    f"{file.as_posix()} exists and is not {path}; choose another name, or add "
                    "--replace."
                )


def _insert(document: CommentedMap, name: str) -> None:
    """Put a data set first, so that the report shows it first, and the comments stay in place."""
    # PyYAML reads some words, such as no, as other types.
    is_text = yaml.safe_load(name) == name
    document["data"].insert(0, name if is_text else SingleQuotedScalarString(name))


@contextmanager
def _restored_on_error(*paths: Path) -> Iterator[None]:
    """Restore files as they were before, if the block fails."""
    before = {path: path.read_bytes() if path.exists() else None for path in paths}
    try:
        yield
    except BaseException:
        for path, content in before.items():
            if content is None:
                path.unlink(missing_ok=True)
            elif path.read_bytes() != content:
                path.write_bytes(content)
        raise
