"""DVC's digests of the files in data/own that the settings of a data set name."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hourglass.core.errors import UserError, one_line
from hourglass.core.paths import root
from hourglass.core.yaml_config import Yaml
from hourglass.data.readers.user_files import fixed_part, resolve_path

OWN = Path("data/own")


def own_digests(config: Yaml, last: Path) -> dict[str, str]:
    """Return DVC's MD5 of every file or folder below data/own that the `init_args` name.

    Of a pattern of files, it is the digest of the folder.

    DVC remembers the digests of unchanged files and does not read them again. A missing file, as in
    a clone without the raw data, keeps its digest in `last`, a JSON file with these digests under
    "own" that DVC tracks. Raises a UserError if a missing file has no digest there, and outside a
    DVC repository.
    """
    paths = [text for text in _texts(config.get("init_args")) if _is_own(text)]
    if not paths:
        return {}
    from dvc.dependency.base import Dependency
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo
    from dvc.scm import SCMError

    digests = {}
    try:
        repository = Repo()
    except (NotDvcRepoError, SCMError) as error:
        raise UserError(f"DVC cannot compute digests of data/own: {one_line(error)}.") from None
    with repository as repo:
        for path in paths:
            try:
                found = str(resolve_path(str(fixed_part(path))))
            except UserError:
                digests[path] = _digests(repo, last).get(path, "")
                if not digests[path]:
                    raise
            else:
                digests[path] = Dependency(None, found, repo=repo).get_hash().value
    return digests


def _texts(settings: Any) -> Iterator[str]:
    """Yield all strings in nested settings."""
    if isinstance(settings, str):
        yield settings
    elif isinstance(settings, dict | list):
        for value in settings.values() if isinstance(settings, dict) else settings:
            yield from _texts(value)


def _is_own(text: str) -> bool:
    """Return whether a text is a path in data/own, here or in the original project folder."""
    return any(
        Path(os.path.normpath(base / text)).is_relative_to(base / OWN)
        for base in (Path.cwd(), root())
    )


def _digests(repo: Any, last: Path) -> dict[str, str]:
    """Return the digests in the last snapshot, from DVC's cache if DVC has deleted it here."""
    try:
        return dict(json.loads(repo.dvcfs.read_text(last.as_posix())).get("own", {}))
    except FileNotFoundError:
        return {}
