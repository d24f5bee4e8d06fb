"""The pipeline on unusual machines: layouts of checkouts, paths, owners, permissions and limits."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tracking.stored import rows
from tests.workspaces import Project

pytestmark = pytest.mark.slow

OTHER_USER = 65534
YEAR_1970 = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *now) {
    int (*original)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int status = original(id, now);
    if (id == CLOCK_REALTIME) now->tv_sec %= 86400;
    return status;
}
time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result) *result = now.tv_sec;
    return now.tv_sec;
}
"""


@pytest.fixture(scope="module")
def source(new_project) -> Project:
    """Return a repository with a grid of one small cell."""
    project: Project = new_project()
    project.set("params.yaml", "data", value=["digits"])
    project.set("params.yaml", "models", value=["linear"])
    project.set("params.yaml", "study", "digits", value=False)
    project.set("configs/data/digits.yaml", "training", "max_epochs", value=2)
    (project / "dvc.lock").unlink()
    project.commit()
    return project


def clone(source: Project, folder: Path) -> Project:
    source.git("clone", "--quiet", str(source.folder), str(folder))
    return Project(folder)


def worktree(source: Project, place: Path) -> Project:
    source.git("worktree", "add", "--quiet", "--detach", str(place / "worktree"))
    return Project(place / "worktree")


def inside_another_repository(source: Project, place: Path) -> Project:
    outer = Project(place / "outer")
    outer.folder.mkdir()
    outer.commit()
    project = clone(source, outer / "hourglass")
    shutil.rmtree(project / ".git")
    return project


def behind_a_symbolic_link(source: Project, place: Path) -> Project:
    (place / "link").symlink_to(clone(source, place / "hourglass").folder)
    return Project(place / "link")


def downloaded_archive(source: Project, place: Path) -> Project:
    source.git("archive", "--prefix=hourglass/", f"--output={place}/archive.zip", "HEAD")
    shutil.unpack_archive(place / "archive.zip", place)
    return Project(place / "hourglass")


def named(name: str) -> Callable[[Project, Path], Project]:
    return lambda source, place: clone(source, place / name)


def files_of_another_user(source: Project, place: Path) -> Project:
    """Git reports "dubious ownership" here."""
    if os.getuid():
        pytest.skip("only root can give files to another user")
    project = clone(source, place / "hourglass")
    for path in (project.folder, *project.folder.rglob("*")):
        os.chown(path, OTHER_USER, OTHER_USER, follow_symlinks=False)
    return project


LAYOUTS = (
    worktree,
    inside_another_repository,
    behind_a_symbolic_link,
    downloaded_archive,
    files_of_another_user,
    pytest.param(named("mit Leerzeichen und Ünicode"), id="spaces_and_unicode"),
    pytest.param(named("100%20 #1 [v2] ?x=1#frag&'q\""), id="special_characters"),
)


def shell(command: str) -> tuple[str, ...]:
    return ("sh", "-c", f'{command}; exec "$@"', "sh")


PROCESSES = {
    "without_git": ("env", f"PATH={Path(sys.executable).parent}"),
    "locale_c_without_home": ("env", "--unset=HOME", "LC_ALL=C"),
    "unwritable_tmpdir": ("env", "TMPDIR=/proc"),
    "umask_000": shell("umask 000"),
    "umask_077": shell("umask 077"),
    "64_open_files": shell("ulimit -n 64"),
}


def check(project: Project, *prefix: str) -> None:
    """Run the pipeline twice: its record is complete and in the checkout; a rerun does nothing."""
    place = project.folder.parent
    before = {*place.iterdir(), Path(f"{project.folder}.cache")}
    assert "not recorded" not in project.run(*prefix, "dvc", "repro").stderr
    assert (project / "reports/index.html").exists()
    (cell,) = (row for row in rows(project.folder) if "hourglass.report" not in row.tags)
    assert cell.status == "FINISHED"
    assert {"calibration/threshold", "test/AUROC"} <= set(cell.metrics)
    assert {"metrics.json", "figures/roc.png"} <= cell.artifacts
    assert cell.models
    assert list((project / "mlruns").glob("*/artifacts/metrics.json"))
    assert set(place.iterdir()) == before
    assert "up to date" in project.run(*prefix, "dvc", "repro").stdout


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_pipeline_runs_in_any_checkout(layout, source, tmp_path):
    check(layout(source, tmp_path))


@pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
def test_the_pipeline_runs_in_any_process(process, source, tmp_path):
    check(clone(source, tmp_path / "hourglass"), *process)


def test_the_pipeline_runs_with_the_clock_at_1970(source, tmp_path):
    library = tmp_path / "clock.so"
    compile_ = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(library)]
    subprocess.run(compile_, input=YEAR_1970, text=True, check=True)
    project, prefix = clone(source, tmp_path / "hourglass"), ("env", f"LD_PRELOAD={library}")
    year = "import datetime; print(datetime.date.today().year)"
    assert project.run(*prefix, sys.executable, "-c", year).stdout == "1970\n"
    check(project, *prefix)
