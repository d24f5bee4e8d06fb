"""Command `verify`: compare every file of the workspace with its recorded checksum."""

from collections.abc import Callable, Mapping, Sequence, Sized
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from hourglass.core.checksums import (
    CORRUPT_FILE_ERRORS,
    CorruptFileError,
    read_with_checksum,
    verify_checksums,
)
from hourglass.core.errors import UserError, one_line
from hourglass.core.paths import PREPARED, RUNS, STAGE_FOLDERS, require_known, valid_name

T = TypeVar("T")
# The names of detection.metadata and networks.weights, repeated to avoid importing torch.
DETECTOR, NETWORK_FILES = "detector.json", ("weights.safetensors", "network.json")
# The JSON files with a checksum in the output folder of each stage of a cell.
CHECKSUM_FILES = {
    "train": ("network.json",),
    "calibrate-threshold": (DETECTOR, "thresholds.json"),
}


def verify(data: str | None = None, model: str | None = None, cache: bool = False) -> None:
    """Find corrupt, changed and missing files, and print the commands that restore them.

    Reads every byte; `dvc status` compares times and sizes only. Prepared data, networks and
    detectors are corrupt if they differ from the checksums stored next to them, images that stay
    in their files if they differ from those in the data card, and objects of DVC's cache if they
    differ from their names. Prepared data, runs and reports are also compared with dvc.lock, which
    describes the last `dvc repro`: they differ after damage, but also after a stage that ran
    without DVC. Exits with status 1 if a file is corrupt, differs or is missing. Changes no file.

    Args:
        data: a data set, by the name of its file in configs/data, or a cell as <data>/<model>; all
            if omitted
        model: a variant, by the name of its file in configs/model; all if omitted
        cache: check the objects of DVC's cache as well

    Examples:
        hourglass verify
        hourglass verify digits/denoising --cache

    """
    from hourglass.core import dvc_lock

    if data and not model and data.count("/") == 1:
        data, model = data.split("/")
    data, model = (name and valid_name(name) for name in (data, model))
    outputs = [out for out in dvc_lock.outputs() if _is_selected(out.path, data, model)]
    present = [output for output in outputs if output.path.exists()]
    missing = _in_current_grid([output.path for output in outputs if not output.path.exists()])
    json_files = [path for path in files_with_checksum() if _is_selected(path, data, model)]
    objects = cache_objects() if cache else []
    if not (present or json_files or objects or missing):
        if data:
            require_known(data, model)
        raise UserError("there is nothing to verify; run `dvc repro` or `dvc pull` first.")
    inputs = dvc_lock.outputs("deps") if not (data or model) else []
    corrupt = _damage("checksums", json_files, checksum_damage)
    compare = partial(dvc_lock.Output.differences, corrupt=frozenset(corrupt))
    different = _damage("dvc.lock", present, compare)
    # The sentence of dvc.lock for a corrupt file also names DVC's cache.
    for path in {*corrupt, dvc_lock.LOCK} & different.keys():
        corrupt[path] = different.pop(path)
    corrupt |= _damage("dependencies", inputs, dvc_lock.Output.wrong_size)
    corrupt |= _damage("cache", objects, cache_damage)
    checked = f"checked {_count(present, 'output')} of dvc.lock"
    checked += f", {_count(json_files, 'file')} with a checksum"
    checked += f", {_count(objects, 'object')} of DVC's cache" if cache else ""
    if missing:
        others = f" and {_count(missing[1:], 'other output')} are" if len(missing) > 1 else " is"
        print(
            f"{missing[0].as_posix()}{others} missing; `dvc checkout` restores them from DVC's "
            "cache, `dvc pull` from a remote, and `dvc repro` computes the rest."
        )
    for sentence in (corrupt | different).values():
        print(sentence)
    if corrupt or different or missing:
        raise UserError(
            f"{checked}; corrupt: {_count(corrupt, 'file')}, different from dvc.lock: "
            f"{_count(different, 'file')}, missing: {_count(missing, 'output')}, as listed above."
        )
    print(f"{checked}: no file is corrupt")


def _count(items: Sized, noun: str) -> str:
    return f"{len(items):,} {noun}" + ("s" if len(items) != 1 else "")


def _cell_of(path: Path) -> tuple[str | None, str | None]:
    """Return the data set and the variant that a path belongs to; None if it belongs to all."""
    parts = path.parts
    if path.is_relative_to(PREPARED):
        return parts[2], None
    if path.is_relative_to(RUNS) and len(parts) > 2:
        return parts[1], parts[2] if len(parts) > 3 else None
    return None, None


def _is_selected(path: Path, data: str | None, model: str | None) -> bool:
    """Return True if a path belongs to the selected data set and variant; None selects all."""
    return all(
        selected in (None, name)
        for selected, name in zip((data, model), _cell_of(path), strict=True)
    )


def _in_current_grid(paths: list[Path]) -> list[Path]:
    """Return the paths that belong to the current grid; dvc.lock may list earlier grids too."""
    from hourglass.core.settings import params

    if not paths:
        return []
    grid = params()
    cells = {path: _cell_of(path) for path in paths}
    return [
        path
        for path, (data, model) in cells.items()
        if data in (None, *grid.data) and model in (None, *grid.models)
    ]


def _damage(
    title: str, items: Sequence[T], check: Callable[[T], dict[Path, str]]
) -> dict[Path, str]:
    """Check all items; return one sentence per corrupt file."""
    from hourglass.core.progress_bar import ProgressBar

    sentences: dict[Path, str] = {}
    for item in ProgressBar(items, title, unit=" files", leave=False):
        sentences |= check(item)
    return sentences


def files_with_checksum() -> list[Path]:
    """Return the JSON files with a checksum of all prepared data sets and cells."""
    from hourglass.data.prepared_data import CARD

    patterns = [f"{PREPARED}/*/{CARD}"]
    for stage, names in CHECKSUM_FILES.items():
        patterns += [f"{RUNS}/*/*/{STAGE_FOLDERS[stage]}/{name}" for name in names]
    return [path for pattern in patterns for path in sorted(Path().glob(pattern))]


def checksum_damage(path: Path) -> dict[Path, str]:
    """Check a JSON file and the files that it lists; return one sentence per corrupt file."""
    try:
        content = read_with_checksum(path)
    except CORRUPT_FILE_ERRORS as error:
        return {path: _restore_sentence(path, error)}
    files = content.get("files", {})
    sentences = _changed_images(content) if "storage" in content else {}
    if path.name == DETECTOR:
        sentences |= _stale_detector(path, {name: files.pop(name, "") for name in NETWORK_FILES})
    for name, checksum in files.items():
        try:
            verify_checksums(path.parent, {name: checksum})
        except CORRUPT_FILE_ERRORS as error:
            sentences[path.parent / name] = _restore_sentence(path.parent / name, error)
    return sentences


def _changed_images(card: Mapping[str, Any]) -> dict[Path, str]:
    """Return a sentence per changed file of a data set whose images stay in their files."""
    from hourglass.data.readers.user_files import resolve_path

    sentences, root = {}, Path(card["storage"]["root"])
    try:
        root = resolve_path(str(root))
    except UserError as error:
        return {root: str(error)}
    for name, checksum in card["source"]["files"].items():
        try:
            verify_checksums(root, {name: checksum})
        except CORRUPT_FILE_ERRORS as error:
            sentences[root / name] = (
                f"{(root / name).as_posix()} is not the file that was prepared "
                f"({one_line(error)}); restore it, or run `hourglass prepare {card['data']}`."
            )
    return sentences


def _stale_detector(path: Path, network: dict[str, str]) -> dict[Path, str]:
    """Return a sentence if the cell's network is intact but changed since calibration."""
    folder = path.parent.with_name(STAGE_FOLDERS["train"])
    if not folder.is_dir() or checksum_damage(folder / "network.json"):
        return {}  # a missing or corrupt network has its own sentence
    try:
        verify_checksums(folder, network)
    except CorruptFileError:
        error = ValueError(f"{folder.as_posix()} was trained again afterwards")
        return {path: _restore_sentence(path, error)}
    return {}


def _restore_sentence(path: Path, error: BaseException) -> str:
    """Return a sentence with the command that writes a corrupt file again."""
    data, model = _cell_of(path)
    command = f"prepare {data}"
    if model:
        stages = {folder: stage for stage, folder in STAGE_FOLDERS.items()}
        command = f"{stages[path.parts[3]]} {data} {model}"
    return (
        f"{path.as_posix()} cannot be used ({one_line(error)}); write it again with `hourglass "
        f"{command}`."
    )


def cache_objects() -> list[Path]:
    """Return the paths of all objects in DVC's cache; raise a UserError outside a DVC project."""
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo

    try:
        folder = Path(Repo().cache.local.path)
    except NotDvcRepoError:
        raise UserError("this folder is not a DVC project, so it has no cache to verify.") from None
    # <2 hexadecimal digits>/<30 more>, with ".dir" appended for a listing of a folder
    paths = folder.glob("[0-9a-f][0-9a-f]/*")
    return sorted(path for path in paths if len(path.name.removesuffix(".dir")) == 30)


def cache_damage(path: Path) -> dict[Path, str]:
    """Return a sentence if the MD5 of a cached object differs from its name."""
    from hourglass.core.dvc_lock import md5

    if md5(path) == path.parent.name + path.name.removesuffix(".dir"):
        return {}
    sentence = (
        f"{path.as_posix()} in DVC's cache is corrupt; remove it and run `dvc fetch`, or `dvc "
        "repro` if no remote has it."
    )
    return {path: sentence}
