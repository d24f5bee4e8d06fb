"""Disks that become full or read-only, below one output folder after another."""

import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.robustness.checkout import REPRO, Checkout
from tests.robustness.outcome import Bench
from tests.robustness.report import Try
from tests.workspaces import wait_for_end

LARGE_DISK_BYTES = 1 << 30
SMALLEST_DISK_BYTES = 16 << 10


@dataclass(frozen=True)
class Place:
    """A place to which a pipeline writes: a folder, or links into one."""

    name: str
    folder: str  # mount point of the disk
    links: tuple[str, ...] = ()  # paths of the workspace that lead to the disk
    variable: str = ""  # environment variable that names the folder

    def used(self, folder: Path) -> int:
        """Return the bytes that a complete pipeline stores here, at least."""
        tops = [folder / path for path in self.links or (self.folder,)]
        files = [path for top in tops for path in (top, *top.rglob("*")) if path.is_file()]
        return sum(path.stat().st_size for path in files)


DISK = "build/disk"  # ignored by git, and not a folder of the pipeline
PLACES = (
    Place("`runs/`", "runs"),
    Place("`data/prepared/`", "data/prepared"),
    Place("`reports/`", "reports"),
    Place("`checkpoints/`", "checkpoints"),
    Place("`mlflow.db` and `mlruns/`", DISK, links=("mlflow.db", "mlruns")),
    Place("DVC's cache", ".dvc/cache"),
    Place("`TMPDIR`", DISK, variable="TMPDIR"),
)


def full_disks(bench: Bench, tries: int, rng: random.Random) -> Iterator[Try]:
    """Yield the result of each pipeline whose disk became full at a random point."""
    for number in range(tries):
        place = PLACES[number % len(PLACES)]
        most = max(2 * SMALLEST_DISK_BYTES, int(0.95 * place.used(bench.complete.folder)))
        with _disk(bench, place, rng.randint(SMALLEST_DISK_BYTES, most)) as (checkout, disk):
            result = checkout.run(*REPRO)
            _mount("-o", f"remount,size={LARGE_DISK_BYTES}", disk)
            judged = bench.judge(place.name, checkout, *result)
        yield judged


def read_only_disks(bench: Bench, tries: int, rng: random.Random) -> Iterator[Try]:
    """Yield the result of each pipeline whose disk became read-only at a random moment."""
    for number in range(tries):
        place = PLACES[number % len(PLACES)]
        with _disk(bench, place, LARGE_DISK_BYTES) as (checkout, disk):
            command = checkout.start(*REPRO)
            seconds = rng.uniform(0, bench.seconds / 2)
            # The disk stays writable while a file is open there for writing.
            while command.lives_after(seconds) and not _mount(
                "-o", "remount,ro", disk, check=False
            ):
                seconds = 0.1
            result = command.wait()
            _mount("-o", "remount,rw", disk)
            judged = bench.judge(place.name, checkout, *result)
        yield judged


@contextmanager
def _disk(bench: Bench, place: Place, size: int) -> Iterator[tuple[Checkout, Path]]:
    """Yield a fresh checkout with a small disk in memory mounted at a place, and its folder."""
    disk = bench.fresh.folder.with_name("disk") / place.folder
    checkout = bench.fresh.copy("disk", **({place.variable: str(disk)} if place.variable else {}))
    hidden = [path.name for path in disk.iterdir()] if disk.is_dir() else []
    disk.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={size}", "none", disk)
    try:
        for name in hidden:  # .gitkeep and the like, which the mount hides
            shutil.copy(bench.fresh.folder / place.folder / name, disk)
        for link in place.links:
            _move_and_link(checkout.folder / link, disk / link)
        yield checkout, disk
        wait_for_end(checkout.folder)
    finally:
        checkout.cut_power()
        subprocess.run(["umount", disk], check=True)


def _move_and_link(path: Path, target: Path) -> None:
    """Move a path to the disk, leave a link, and hide the change from git's status."""
    git = ["git", "-C", str(path.parent)]
    listed = subprocess.run([*git, "ls-files", path.name], check=True, capture_output=True)
    if tracked := listed.stdout.decode().split():
        subprocess.run([*git, "update-index", "--skip-worktree", *tracked], check=True)
    if path.is_dir():
        shutil.move(path, target)
    path.symlink_to(target)


def _mount(*words: str | Path, check: bool = True) -> bool:
    """Mount or remount a disk; return whether that worked, or raise an error if `check`."""
    done = subprocess.run(["mount", *words], check=check, capture_output=not check)
    return done.returncode == 0
