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
from tests.robustness.report import Fault

FULL = "a full disk for"
READ_ONLY = "a read-only disk for"
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
        tops = [folder / each for each in self.links or (self.folder,)]
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


def full_disks(bench: Bench, tries: int, rng: random.Random) -> Iterator[Fault]:
    """Yield the fault after each pipeline whose disk became full at a random point."""
    fault = Fault(FULL)
    for number in range(tries):
        place = PLACES[number % len(PLACES)]
        most = max(2 * SMALLEST_DISK_BYTES, int(0.95 * place.used(bench.complete.folder)))
        size = rng.randint(SMALLEST_DISK_BYTES, most)
        with _disk(bench, place, f"size={size}") as checkout:
            result = checkout.run(*REPRO)
            _remount(checkout, place, f"size={LARGE_DISK_BYTES}")
            fault.tries.append(bench.judge(place.name, checkout, *result))
        yield fault


def read_only_disks(bench: Bench, tries: int, rng: random.Random) -> Iterator[Fault]:
    """Yield the fault after each pipeline whose disk became read-only at a random moment."""
    fault = Fault(READ_ONLY)
    for number in range(tries):
        place = PLACES[number % len(PLACES)]
        with _disk(bench, place, f"size={LARGE_DISK_BYTES}") as checkout:
            command = checkout.start(*REPRO)
            seconds = rng.uniform(0, bench.seconds / 2)
            while command.lives_after(seconds) and not _make_read_only(checkout, place):
                seconds = 0.1
            result = command.wait()
            _remount(checkout, place, "rw")
            fault.tries.append(bench.judge(place.name, checkout, *result))
        yield fault


@contextmanager
def _disk(bench: Bench, place: Place, size: str) -> Iterator[Checkout]:
    """Yield a fresh checkout with a small disk in memory mounted at a place."""
    checkout = bench.fresh.copy("disk")
    folder = checkout.folder / place.folder
    hidden = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    folder.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", size, "none", folder)
    try:
        for name in hidden:  # .gitkeep and the like, which the mount hides
            shutil.copy(bench.fresh.folder / place.folder / name, folder)
        for link in place.links:
            _move_and_link(checkout.folder / link, folder / link)
        variables = {place.variable: str(folder)} if place.variable else {}
        yield Checkout(checkout.folder, variables)
        checkout.wait_for_end()
    finally:
        checkout.cut_power()
        subprocess.run(["umount", folder], check=True)


def _move_and_link(path: Path, target: Path) -> None:
    """Move a path to the disk, leave a link, and hide the change from git's status."""
    git = ["git", "-C", str(path.parent)]
    listed = subprocess.run([*git, "ls-files", path.name], check=True, capture_output=True)
    if tracked := listed.stdout.decode().split():
        subprocess.run([*git, "update-index", "--skip-worktree", *tracked], check=True)
    if path.is_dir():
        shutil.copytree(path, target)
        shutil.rmtree(path)
    path.symlink_to(target)


def _remount(checkout: Checkout, place: Place, option: str) -> None:
    _mount("-o", f"remount,{option}", checkout.folder / place.folder)


def _make_read_only(checkout: Checkout, place: Place) -> bool:
    """Make the disk read-only; return False while a file is open there for writing."""
    words = ["mount", "-o", "remount,ro", str(checkout.folder / place.folder)]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def _mount(*words: str | Path) -> None:
    subprocess.run(["mount", *words], check=True)
