"""Command `init`: create a workspace, or upgrade one to the installed version."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from hourglass.cli.template import workspace_files
from hourglass.core.atomic import write_json, write_text
from hourglass.core.errors import UserError, one_line
from hourglass.core.installation import PIN, REQUIREMENTS, installed_version
from hourglass.core.paths import WORKSPACE_RECORD

# A folder that has one of these belongs to another project; other existing files stay as they are.
EXCLUSIVE = ("params.yaml", "dvc.yaml", ".dvc/config", WORKSPACE_RECORD.name)
EXTENDED = (".gitignore", REQUIREMENTS.name)  # these get the lines of a workspace at their end
NO_SCM = "[core]\n    no_scm = true\n"
# Environment variables that direct git to another repository, as in a git hook.
OTHER_REPOSITORY = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
COMMIT_MESSAGE = "Create an Hourglass workspace"
NO_IDENTITY = (
    "git does not know your name and e-mail address; set them with `git config --global user.name "
    "NAME` and `git config --global user.email ADDRESS`, then run `git commit`"
)


def init(folder: str = ".", upgrade: bool = False, apply: bool = False) -> None:
    """Create a workspace: settings, pipeline, Makefile, and a git and a DVC repository.

    `hourglass repro` then trains all variants on two data sets that need no download. Existing
    files stay as they are; only .gitignore and requirements.txt get more lines.
    In a folder of a git repository, no other repository is created. Without the program git, DVC
    works without it.

    requirements.txt pins the version of this package. After an upgrade of the package, `--upgrade`
    shows what the new version changes in the files of the workspace, and `--upgrade --apply`
    writes it. Your changes stay: both are merged, and if both changed the same lines, the new
    version is written next to your file, as <file>.new.

    Args:
        folder: the folder of the workspace, created if it does not exist; by default the current
            one
        upgrade: show the changes that the installed version makes in an existing workspace
        apply: write these changes

    Examples:
        hourglass init pumps
        hourglass init --upgrade
        hourglass init --upgrade --apply

    """
    path = Path(folder).expanduser()
    if upgrade:
        from hourglass.cli.workspace_upgrade import upgrade_workspace

        upgrade_workspace(path, apply)
        return
    if apply:
        raise UserError("--apply is for `hourglass init --upgrade`; give both.")
    kept = create_workspace(path)
    print(f"created a workspace in {path.absolute()}")
    if kept:
        print(f"kept your {', '.join(kept)}; those of a workspace differ")
    enter = "" if path.absolute() == Path.cwd() else f"cd {shlex.quote(str(path))} && "
    print(f"next: {enter}hourglass repro --jobs 2, then hourglass ui; `make` lists more")


def create_workspace(
    folder: Path,
    data: list[str] | None = None,
    models: list[str] | None = None,
    git: bool = True,
) -> list[str]:
    """Write the files of a workspace; return those that existed before, which stay as they are.

    `data` and `models` are the grid in params.yaml, by default that of the repository. With `git`,
    the folder becomes a git repository with a first commit, unless it is in one; otherwise DVC is
    set to work without git. Raises a UserError before it writes anything if the folder already has
    a pipeline or cannot be one.
    """
    _check(folder)
    template = workspace_files()
    _check_parents(folder, template)
    files = dict(template)
    for key, names in (("data", data), ("models", models)):
        if names is not None:
            files["params.yaml"] = _with_list(files["params.yaml"], key, names)
    for path in EXTENDED:
        files[path] = _extended(folder / path, files[path])
    folder.mkdir(parents=True, exist_ok=True)
    kept = [path for path in files if path not in EXTENDED and (folder / path).exists()]
    for path in files.keys() - kept:
        write_text(folder / path, files[path])
    # The text of the template, not of the files: an upgrade compares it with the new template.
    write_json(folder / WORKSPACE_RECORD, {"version": installed_version(), "files": template})
    if not (git and _set_up_git(folder, [*files, WORKSPACE_RECORD.name])):
        write_text(folder / ".dvc/config.local", NO_SCM)
    return kept


def _check(folder: Path) -> None:
    """Raise a UserError if the folder cannot become a workspace."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; name a folder for the workspace.")
    existing = [name for name in EXCLUSIVE if (folder / name).exists()]
    if WORKSPACE_RECORD.name in existing:
        raise UserError(
            f"{folder.absolute()} is a workspace already; `hourglass init --upgrade` shows what "
            "the installed version changes in it."
        )
    if existing:
        raise UserError(
            f"{folder.absolute()} has {' and '.join(existing)} of another project; choose an "
            "empty folder."
        )


def _check_parents(folder: Path, paths: Iterable[str]) -> None:
    """Raise a UserError if a file is where the workspace needs a folder."""
    parents = {parent for path in paths for parent in (folder / path).absolute().parents}
    for parent in sorted(parents):
        if os.path.lexists(parent) and not parent.is_dir():
            raise UserError(
                f"{parent} is a file or a broken link, but the workspace needs a folder there; "
                "choose another folder."
            )


def _with_list(text: str, key: str, names: list[str]) -> str:
    """Replace a top-level list of params.yaml; comments stay."""
    items = "".join(f"  - {name}\n" for name in names)
    return re.sub(rf"^{key}:\n(  - .*\n)+", f"{key}:\n{items}", text, count=1, flags=re.MULTILINE)


def _extended(path: Path, text: str) -> str:
    """Return `text`, below the content of an existing file unless that pins this package."""
    existing = (text_of(path) or "").rstrip()
    if path.name == REQUIREMENTS.name and PIN.search(existing):
        return f"{existing}\n"
    return f"{existing}\n{text}".lstrip()


def text_of(path: Path) -> str | None:
    """Return the text of a file, None if there is none; raise a UserError unless it is UTF-8."""
    try:
        return path.read_text(encoding="utf-8") if path.is_file() else None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text; convert it, or restore it with git.") from None


def _set_up_git(folder: Path, paths: list[str]) -> bool:
    """Make the folder part of a git repository; return False without the program git.

    A new repository gets a first commit of `paths`, which `dvc exp` needs. A folder that the
    repository around it ignores gets its own, because DVC rejects an ignored dvc.yaml.
    """
    if not shutil.which("git"):
        return False
    inside = not _git(folder, "rev-parse", "--is-inside-work-tree").returncode
    if inside and _git(folder, "check-ignore", "--quiet", "dvc.yaml").returncode:
        return True
    created = _git(folder, "init", "--quiet")
    if created.returncode:
        raise UserError(f"`git init` failed: {one_line(Exception(created.stderr))}.")
    _git(folder, "add", "--", *paths)
    committed = _git(folder, "commit", "--quiet", "--message", COMMIT_MESSAGE)
    if committed.returncode:
        reason = (committed.stderr.strip().splitlines() or ["git commit failed"])[-1]
        if _git(folder, "var", "GIT_AUTHOR_IDENT").returncode:
            reason = NO_IDENTITY
        print(f"the first commit is left to you ({reason}); `dvc exp` needs one")
    return True


def _git(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    environment = {key: value for key, value in os.environ.items() if key not in OTHER_REPOSITORY}
    return subprocess.run(
        ["git", *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
