"""Break pipelines on purpose, and say what became of them: docs/reliability.md.

    python scripts/chaos.py            # a few tries of every fault, on a grid of two cells
    python scripts/chaos.py kills --tries 50 --grid default --minutes 120
    python scripts/chaos.py --page     # the page of all that was found

Works in copies of the repository below a temporary folder, which it takes away. What was found is
kept in build/chaos, a file a fault, so that they may be tried one by one, and a run whose time is
up keeps what it has. On Linux, as root or where a user may have a mount namespace of his own.
"""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from faults.bench import Bench
from faults.checkout import GRIDS
from faults.counted import flips, fuzz, workers
from faults.disks import full_disks, read_only_disks
from faults.kills import kills
from faults.page import page
from faults.rows import Fault
from faults.servers import servers
from faults.together import together

ROOT = Path(__file__).parents[1]
FOUND = ROOT / "build" / "chaos"
PAGE = ROOT / "docs" / "reliability.md"
ALONE = "HOURGLASS_CHAOS_ALONE"  # set where mounts are ours alone and vanish with us
FAULTS: dict[str, Callable[[Bench, int, random.Random], Iterator[Fault]]] = {
    "kills": kills,
    "full_disks": full_disks,
    "read_only_disks": read_only_disks,
    "together": together,
    "servers": servers,
    "workers": workers,
    "flips": flips,
    "fuzz": fuzz,
}


def main() -> None:
    """Try the faults that are asked for, and write the page."""
    arguments = _arguments()
    if not arguments.page:
        _need_own_mounts()
        with tempfile.TemporaryDirectory(prefix="hourglass-chaos-") as folder:
            _try(arguments, Path(folder))
    text = page({path.stem: _read(path) for path in sorted(arguments.found.glob("*.json"))})
    arguments.out.write_text(text, encoding="utf-8", newline="\n")
    print(text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=", ".join(FAULTS))
    parser.add_argument("--tries", type=int, default=7, help="how many of each fault")
    parser.add_argument("--grid", choices=GRIDS, default="small")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=60.0, help="after which none is begun")
    parser.add_argument("--page", action="store_true", help="try nothing, write the page")
    parser.add_argument("--found", type=Path, default=FOUND, help="the folder of what was found")
    parser.add_argument("--out", type=Path, default=PAGE, help="the page")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.faults) - FAULTS.keys()):
        parser.error(f"{', '.join(unknown)}: no such fault; there are {', '.join(FAULTS)}")
    return arguments


def _need_own_mounts() -> None:
    """Start again with mounts of our own, which nobody else sees and which end with us."""
    if ALONE in os.environ:
        return
    if not (sys.platform == "linux" and shutil.which("unshare")):
        sys.exit("chaos needs Linux and util-linux's `unshare`.")
    mapped = [] if os.geteuid() == 0 else ["--map-root-user"]
    words = ["unshare", "--mount", *mapped, sys.executable, *sys.argv]
    os.execvpe(words[0], words, {**os.environ, ALONE: "1"})


def _try(arguments: argparse.Namespace, folder: Path) -> None:
    """Try fault after fault, and keep what was found after each try."""
    end = time.monotonic() + 60 * arguments.minutes
    print(f"an undisturbed run of the {arguments.grid} grid ...", flush=True)
    bench = Bench.set_up(folder, arguments.grid)
    print(f"... took {bench.seconds:.0f} s", flush=True)
    arguments.found.mkdir(parents=True, exist_ok=True)
    for name in arguments.faults or FAULTS:
        rng = random.Random(f"{arguments.seed} {name}")
        for fault in FAULTS[name](bench, arguments.tries, rng):
            _keep(arguments, name, fault)
            if time.monotonic() > end:
                print(f"time is up: {len(fault.tries)} tries of {name}", flush=True)
                break


def _keep(arguments: argparse.Namespace, name: str, fault: Fault) -> None:
    command = f"python scripts/chaos.py {name} --tries {arguments.tries}"
    command += f" --grid {arguments.grid} --seed {arguments.seed}"
    found = {"command": command, **fault.to_dict()}
    text = json.dumps(found, indent=2) + "\n"
    (arguments.found / f"{name}.json").write_text(text, encoding="utf-8")
    last = fault.tries[-1]
    print(f"{name}: {len(fault.tries)} tries, the last one: {last}", flush=True)


def _read(path: Path) -> tuple[str, Fault]:
    """Return the command that found it, and the fault."""
    found = json.loads(path.read_text(encoding="utf-8"))
    return found.pop("command"), Fault.from_dict(found)


if __name__ == "__main__":
    main()
