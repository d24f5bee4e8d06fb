"""The user's data in data/own: copies that the pipeline depends on."""

import csv
import dataclasses
import io
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hourglass.cli.data_plan import IMAGES, DataPlan
from hourglass.core.atomic import atomic_file, atomic_folder, write_text
from hourglass.data.own_digests import OWN
from hourglass.data.readers.user_files import fixed_part

MAX_COPIED_BYTES = 4 << 30


def tracked_by_dvc(place: str) -> str | None:
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

    Returns the plan with the path of that file; a plan without intervals is returned unchanged.
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
    """Return the suffix of a file, with both parts for a compressed table, as in .csv.gz."""
    from hourglass.data.readers.table_paths import COMPRESSED, SUFFIXES

    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    is_pair = len(suffixes) == 2 and suffixes[1] in COMPRESSED and suffixes[0] in SUFFIXES
    return "".join(suffixes if is_pair else suffixes[-1:])


def _bytes(path: Path) -> int:
    fixed = fixed_part(str(path))
    pattern = "**/*" if fixed == path else str(path.relative_to(fixed))
    files = [path] if path.is_file() else fixed.glob(pattern)
    return sum(file.stat().st_size for file in files if file.is_file())
