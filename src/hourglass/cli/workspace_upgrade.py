"""`hourglass init --upgrade`: merge the files of the installed version into a workspace."""

import difflib
import json
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hourglass.cli.init import text_of
from hourglass.cli.template import workspace_files
from hourglass.core.atomic import write_json, write_text
from hourglass.core.errors import UserError
from hourglass.core.git import git
from hourglass.core.installation import PIN, REQUIREMENTS, installed_version
from hourglass.core.paths import WORKSPACE_RECORD
from hourglass.core.suggestions import counted


@dataclass
class Upgrade:
    """The changes of an upgrade: the new text of files by path.

    The texts in `conflicts` are those of the new version; the user changed the same lines.
    `unused` files no longer belong to a workspace.
    """

    merged: dict[str, str] = field(default_factory=dict)
    conflicts: dict[str, str] = field(default_factory=dict)
    unused: list[str] = field(default_factory=list)


def upgrade_workspace(folder: Path, apply: bool) -> None:
    """Print what the installed version changes in a workspace; write it if `apply` is True."""
    last, new, version = _last_files(folder), workspace_files(), installed_version()
    upgrade = compute_upgrade(folder, last, new)
    for path, text in upgrade.merged.items():
        print(_diff(path, text_of(folder / path) or "", text), end="")
    for path, text in upgrade.conflicts.items():
        print(f"conflict in {path}: you changed the same lines as hourglass {version}, which has")
        print(_diff(path, last.get(path, ""), text), end="")
    for path in upgrade.unused:
        print(f"{path} is not used by hourglass {version}; delete it if you do not need it")
    count = len(upgrade.merged) + len(upgrade.conflicts)
    if not (count or upgrade.unused):
        print(f"nothing to change: the workspace has the files of hourglass {version}")
    elif not apply:
        print(f"{counted(count, 'file')} to change; `hourglass init --upgrade --apply` writes them")
    if apply:
        _check_unmerged(folder, upgrade.conflicts)
        for path, text in upgrade.merged.items():
            write_text(folder / path, text)
        for path, text in upgrade.conflicts.items():
            write_text(folder / f"{path}.new", text)
            print(f"wrote {path}.new; merge it into {path}, then delete it")
        write_json(folder / WORKSPACE_RECORD, {"version": version, "files": new})


def _check_unmerged(folder: Path, conflicts: dict[str, str]) -> None:
    """Raise a UserError if files of an earlier conflict, which may hold work, would change."""
    files = [folder / f"{path}.new" for path in conflicts]
    texts = zip(files, conflicts.values(), strict=True)
    if unmerged := [str(file) for file, text in texts if text_of(file) not in (None, text)]:
        raise UserError(
            f"{', '.join(unmerged)} of an earlier upgrade would be overwritten; merge and delete "
            "it first."
        )


def compute_upgrade(folder: Path, last: dict[str, str], new: dict[str, str]) -> Upgrade:
    """Compare the files of a workspace with those that `init` wrote last, and with the new ones."""
    upgrade = Upgrade()
    for path in sorted(last.keys() | new.keys()):
        mine = text_of(folder / path)
        if path not in new:
            upgrade.unused += [path] if mine is not None else []
        elif mine is None:
            if path not in last or path == REQUIREMENTS.name:  # else deleted by the user
                upgrade.merged[path] = new[path]
        elif (text := _merge(path, mine, last.get(path), new[path])) is None:
            upgrade.conflicts[path] = new[path]
        elif text != mine:
            upgrade.merged[path] = text
    return upgrade


def _last_files(folder: Path) -> dict[str, str]:
    """Return the files that `init` wrote last; raise a UserError outside a workspace of `init`."""
    try:
        record = json.loads((folder / WORKSPACE_RECORD).read_text(encoding="utf-8"))
        return {str(path): str(text) for path, text in record["files"].items()}
    except FileNotFoundError:
        raise UserError(
            f"{folder.absolute()} has no {WORKSPACE_RECORD}, which `hourglass init` writes; name "
            "the folder of a workspace, or upgrade a clone of the repository with `git pull`."
        ) from None
    except (ValueError, KeyError, AttributeError, TypeError):
        raise UserError(
            f"{folder / WORKSPACE_RECORD} is corrupt; restore it with `git checkout -- "
            f"{WORKSPACE_RECORD}`."
        ) from None


def _merge(path: str, mine: str, last: str | None, new: str) -> str | None:
    """Merge a change by the user and one of the template; return None for a conflict."""
    if path == REQUIREMENTS.name:  # other lines are the user's
        return PIN.sub(new.strip(), mine) if PIN.search(mine) else f"{new}{mine}"
    if mine == new or new == last:
        return mine
    if mine == last:
        return new
    if last is None:
        return None
    with tempfile.TemporaryDirectory() as name:
        files = [Path(name, side) for side in ("mine", "last", "new")]
        for file, text in zip(files, (mine, last, new), strict=True):
            file.write_text(text, encoding="utf-8", newline="\n")
        merged = git("merge-file", "-p", *map(str, files))  # "" for a conflict, or without git
    return f"{merged}\n" if merged else None


def _diff(path: str, mine: str, new: str) -> str:
    lines = difflib.unified_diff(
        mine.splitlines(keepends=True), new.splitlines(keepends=True), path, f"{path} (new)"
    )
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)
