"""DVC's cache: every object holds what its name says."""

from collections.abc import Iterator
from pathlib import Path

from hourglass.core.dvc_lock import md5
from hourglass.core.errors import UserError


def objects() -> list[Path]:
    """Return the objects of this project's cache; a UserError where DVC has no project here."""
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo

    try:
        folder = Path(Repo().cache.local.path)
    except NotDvcRepoError:
        raise UserError("this folder is no DVC project, so it has no cache to verify.") from None
    return sorted(_objects(folder))


def _objects(folder: Path) -> Iterator[Path]:
    """Yield files called by 32 hexadecimal digits, after two of which there is a folder."""
    for path in folder.glob("[0-9a-f][0-9a-f]/*"):
        if len(path.name.removesuffix(".dir")) == 30:
            yield path


def damage(path: Path) -> dict[Path, str]:
    """Return a sentence where an object of the cache holds other bytes than its name says."""
    if md5(path) == path.parent.name + path.name.removesuffix(".dir"):
        return {}
    sentence = (
        f"{path.as_posix()} of DVC's cache holds other bytes than its name says; remove it and run "
        "`dvc fetch`, or `dvc repro`, which makes again what is nowhere else."
    )
    return {path: sentence}
