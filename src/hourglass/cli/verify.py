"""The verb `verify`: every file of the workspace against what is known of it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from hourglass.core.errors import UserError
from hourglass.core.paths import valid_name

Each = TypeVar("Each")


def verify(data: str | None = None, model: str | None = None, cache: bool = False) -> None:
    """Read every file again and say which are not as they were written, and how to mend them.

    Prepared data, runs and reports are compared with dvc.lock, whose digests are those of the last
    `dvc repro`, and data and detectors with their own seals as well; times and sizes, by which DVC
    itself goes, are not trusted. Ends with status 1 where anything is broken or missing. Changes
    nothing.

    Args:
        data: a data set, by the name of its file in configs/data; all if none
        model: a variant, by the name of its file in configs/model; all if none
        cache: read the objects of DVC's cache as well

    """
    from hourglass.cli import verify_checksums
    from hourglass.core import dvc_cache, dvc_lock

    given = [each and valid_name(each) for each in (data, model)]
    locked_outputs = [each for each in dvc_lock.outputs() if _asked(each.path, *given)]
    outputs = [each for each in locked_outputs if each.path.exists()]
    missing = [each.path for each in locked_outputs if not each.path.exists()]
    cards = [each for each in verify_checksums.cards() if _asked(each, *given)]
    objects = dvc_cache.objects() if cache else []
    broken = _missing(missing)
    if not (outputs or cards or objects or broken):
        raise UserError("there is nothing to verify; run `dvc repro`, or `dvc pull`, first.")
    # What both know of is said in the words of dvc.lock.
    broken |= _broken("seals", cards, verify_checksums.damage)
    broken |= _broken("dvc.lock", outputs, dvc_lock.Output.damage)
    inputs = dvc_lock.outputs("deps") if not any(given) else []
    broken |= _broken("dependencies", inputs, dvc_lock.Output.misstated)
    broken |= _broken("cache", objects, dvc_cache.damage)
    for sentence in broken.values():
        print(sentence)
    count = f"{len(outputs):,} outputs of dvc.lock, {len(cards):,} seals"
    count += f", {len(objects):,} objects of DVC's cache" if cache else ""
    if broken:
        raise UserError(f"{count}, of which {len(broken):,} failed; each is named above.")
    print(f"{count}: all is as it was written")


def _asked(path: Path, data: str | None, model: str | None) -> bool:
    """Return whether a path is below runs or data/prepared of what was asked for, if it was."""
    parts = path.parts
    if parts[:2] == ("data", "prepared"):
        return parts[2] == (data or parts[2]) and not model
    if parts[0] == "runs" and len(parts) > 2:
        return parts[1] == (data or parts[1]) and parts[2] == (model or parts[2])
    return not data and not model


def _missing(paths: list[Path]) -> dict[Path, str]:
    """Return a sentence about the outputs of today's grid that are not there, if any."""
    from hourglass.core.settings import params

    own = params()
    found = [path for path in paths if _of_grid(path, own.data, own.models)]
    if not found:
        return {}
    count = f" and {len(found) - 1:,} more are" if len(found) > 1 else " is"
    sentence = (
        f"{found[0].as_posix()}{count} missing; `dvc checkout` brings back what DVC keeps, `dvc "
        "pull` what a remote has, and `dvc repro` makes the others again."
    )
    return {found[0]: sentence}


def _of_grid(path: Path, data: list[str], models: list[str]) -> bool:
    """Return whether the stages of today's grid write that output; dvc.lock knows earlier ones."""
    parts = path.parts
    if parts[:2] == ("data", "prepared"):
        return parts[2] in data
    if parts[0] != "runs" or len(parts) < 3:
        return True
    return parts[1] in data and (parts[2] in models or len(parts) == 3)


def _broken(
    what: str, given: Sequence[Each], damage: Callable[[Each], dict[Path, str]]
) -> dict[Path, str]:
    """Return a sentence for each broken file."""
    from tqdm import tqdm

    found: dict[Path, str] = {}
    for each in tqdm(given, what, disable=None, leave=False):
        found |= damage(each)
    return found
