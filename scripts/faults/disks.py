"""Disks that become full, or are mounted read-only, below one folder after another."""

import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from faults.bench import Bench
from faults.checkout import REPRO, Checkout
from faults.rows import Fault

FULL = "a disk that becomes full, of"
READ_ONLY = "a read-only disk, of"
ROOM = 1 << 30  # bytes of a disk that is large enough
LEAST = 16 << 10  # and of the smallest one: a few pages


@dataclass(frozen=True)
class Place:
    """Where a pipeline writes: a folder, or links that lead to another one."""

    name: str
    folder: str  # where the disk is mounted
    links: tuple[str, ...] = ()  # what of the workspace is on it, if not the folder itself
    variable: str = ""  # that names the folder to the pipeline

    def used(self, folder: Path) -> int:
        """Return how many bytes of it a whole pipeline fills, at least."""
        tops = [folder / each for each in self.links or (self.folder,)]
        files = [path for top in tops for path in (top, *top.rglob("*")) if path.is_file()]
        return sum(path.stat().st_size for path in files)


DISK = "build/disk"  # git-ignored, and no folder of the pipeline's
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
    """Yield the fault after each pipeline whose disk became full somewhere on its way."""
    fault = Fault(FULL)
    for place in (PLACES[number % len(PLACES)] for number in range(tries)):
        most = max(2 * LEAST, int(0.95 * place.used(bench.whole.folder)))
        with _disk(bench, place, f"size={rng.randint(LEAST, most)}") as checkout:
            said = checkout.run(*REPRO)
            _remount(checkout, place, f"size={ROOM}")
            fault.tries.append(bench.judge(place.name, checkout, *said))
        yield fault


def read_only_disks(bench: Bench, tries: int, rng: random.Random) -> Iterator[Fault]:
    """Yield the fault after each pipeline that could not write to a folder from some stage on."""
    fault = Fault(READ_ONLY)
    for place in (PLACES[number % len(PLACES)] for number in range(tries)):
        with _disk(bench, place, f"size={ROOM}") as checkout:
            command = checkout.start(*REPRO)
            moment = rng.uniform(0, bench.seconds / 2)
            while command.lives_after(moment) and not _close(checkout, place):
                moment = 0.1
            said = command.wait()
            _remount(checkout, place, "rw")
            fault.tries.append(bench.judge(place.name, checkout, *said))
        yield fault


@contextmanager
def _disk(bench: Bench, place: Place, size: str) -> Iterator[Checkout]:
    """Give a fresh checkout with a small disk in memory below a place, until the block ends."""
    checkout = bench.fresh.copy("disk")
    folder = checkout.folder / place.folder
    kept = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    folder.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", size, "none", folder)
    try:
        for name in kept:  # .gitkeep and the like, which the mount hides
            shutil.copy(bench.fresh.folder / place.folder / name, folder)
        for link in place.links:
            _link(checkout.folder / link, folder / link)
        more = {place.variable: str(folder)} if place.variable else {}
        yield Checkout(checkout.folder, more)
        checkout.wait_for_end()
    finally:
        checkout.cut_power()
        subprocess.run(["umount", folder], check=True)


def _link(path: Path, target: Path) -> None:
    """Move a path to the disk and leave a link; git, whose view trainings record, sees none."""
    git = ["git", "-C", str(path.parent)]
    listed = subprocess.run([*git, "ls-files", path.name], check=True, capture_output=True)
    if tracked := listed.stdout.decode().split():
        subprocess.run([*git, "update-index", "--skip-worktree", *tracked], check=True)
    if path.is_dir():
        shutil.copytree(path, target)
        shutil.rmtree(path)
    path.symlink_to(target)


def _remount(checkout: Checkout, place: Place, how: str) -> None:
    _mount("-o", f"remount,{how}", checkout.folder / place.folder)


def _close(checkout: Checkout, place: Place) -> bool:
    """Make the disk read-only; return False where a file is open for writing there just now."""
    words = ["mount", "-o", "remount,ro", str(checkout.folder / place.folder)]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def _mount(*words: str | Path) -> None:
    subprocess.run(["mount", *words], check=True)
