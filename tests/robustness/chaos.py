"""Command line of the fault injection; writes docs/benchmarks/reliability.md.

    python scripts/chaos.py            # a few tries of every fault, on a grid of two cells
    python scripts/chaos.py kills --tries 50 --grid default --minutes 120
    python scripts/chaos.py --page     # only write the page, from the results in build/chaos

Faults run in copies of the repository in a temporary folder. Results are saved in build/chaos, one
file per fault, after every try, so that faults can run one by one and a run can be stopped. Needs
Linux, and root or the right to create mount namespaces.
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
from dataclasses import asdict
from pathlib import Path
from unittest import mock

from common import argument_parser

from tests.robustness.checkout import GRIDS
from tests.robustness.disks import full_disks, read_only_disks
from tests.robustness.kills import kills
from tests.robustness.outcome import Bench
from tests.robustness.report import Fault, Try, page
from tests.robustness.servers import servers
from tests.robustness.together import together
from tests.workspaces import ROOT

OWN_MOUNTS = "HOURGLASS_CHAOS_OWN_MOUNTS"  # set in a process with a mount namespace of its own
TRIALS_PER_KILL = 10  # of a study: it must not be complete before the last kill


def flips(bench: Bench, tries: int, rng: random.Random) -> Iterator[Try]:
    """Yield the results of flipped bits in the files of a workspace."""
    from tests.robustness.flips import flip_bits  # imports torch

    checkout = bench.complete.copy("flipped")
    with mock.patch.dict("os.environ", checkout.environment(), clear=True):
        for row in flip_bits(checkout.folder, tries, rng.randrange(1 << 30)):
            message = "" if row["silent"] else f"noticed by {', '.join(row['noticed_by'])}"
            losses = ["a flipped bit was accepted."] if row["silent"] else []
            yield Try(f"{row['artefact']} ({row['fault']})", False, message, losses)


def fuzz(bench: Bench, tries: int, rng: random.Random) -> Iterator[Try]:
    """Yield the results of malformed files and command lines for every reader."""
    from tests.robustness.fuzz import run_cases  # imports torch

    for kind, end, message in run_cases(tries, rng.randrange(1 << 30)):
        losses = [f"{end}: {message}"] if end in ("traceback", "wrong") else []
        yield Try(kind, end == "right", "rejected" if end == "refused" else "", losses)


def workers(bench: Bench, tries: int, rng: random.Random) -> Iterator[Try]:
    """Yield the result of a study on PostgreSQL with a killed worker every 10 seconds."""
    from tests.robustness.workers import LOSSES, disturb_study  # starts servers

    counts = disturb_study(kills=tries, trials=TRIALS_PER_KILL * tries)
    losses = [f"{name}: {counts[name]}." for name in LOSSES if counts[name]]
    if counts["finished"] != counts["requested"]:
        losses.append(f"{counts['finished']} trials instead of {counts['requested']}.")
    message = f"trials and workers: {', '.join(f'{name} {n}' for name, n in counts.items())}"
    yield from [Try("four workers of a study on PostgreSQL", not losses, message, losses)] * tries


Inject = Callable[[Bench, int, random.Random], Iterator[Try]]
FAULTS: dict[str, tuple[str, Inject]] = {
    "kills": ("`kill -9` of the pipeline with all its processes, at a random moment of", kills),
    "full_disks": ("a full disk for", full_disks),
    "read_only_disks": ("a read-only disk for", read_only_disks),
    "together": ("at the same time in one checkout:", together),
    "servers": ("a stop and a restart of", servers),
    "workers": ("`kill -9` every 10 s of one of", workers),
    "flips": ("a flipped bit in", flips),
    "fuzz": ("malformed", fuzz),
}


def main() -> None:
    """Inject the chosen faults and write the page."""
    parser = argument_parser(__doc__)
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=", ".join(FAULTS))
    parser.add_argument("--tries", type=int, default=7, help="number of tries per fault")
    parser.add_argument("--grid", choices=GRIDS, default="small")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=60.0, help="time limit for new tries")
    parser.add_argument("--page", action="store_true", help="only write the page")
    parser.add_argument(
        "--found", type=Path, default=ROOT / "build/chaos", help="folder of the results"
    )
    parser.add_argument(
        "--out", type=Path, default=ROOT / "docs/benchmarks/reliability.md", help="path of the page"
    )
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.faults) - FAULTS.keys()):
        parser.error(f"unknown fault {', '.join(unknown)}; available: {', '.join(FAULTS)}")
    if not arguments.page:
        _enter_mount_namespace()
        with tempfile.TemporaryDirectory(prefix="hourglass-chaos-") as folder:
            _inject(arguments, Path(folder))
    text = page({path.stem: _read(path) for path in sorted(arguments.found.glob("*.json"))})
    arguments.out.write_text(text, encoding="utf-8", newline="\n")
    print(text)


def _enter_mount_namespace() -> None:
    """Restart this program in a mount namespace of its own, which ends with it."""
    if OWN_MOUNTS in os.environ:
        return
    if not (sys.platform == "linux" and shutil.which("unshare")):
        sys.exit("chaos needs Linux and the program `unshare` of util-linux.")
    mapped = [] if os.geteuid() == 0 else ["--map-root-user"]
    words = ["unshare", "--mount", *mapped, sys.executable, *sys.argv]
    os.execvpe(words[0], words, {**os.environ, OWN_MOUNTS: "1"})


def _inject(arguments: argparse.Namespace, folder: Path) -> None:
    """Inject fault after fault; save the results after each try."""
    end = time.monotonic() + 60 * arguments.minutes
    print(f"running the {arguments.grid} grid undisturbed", flush=True)
    bench = Bench.set_up(folder, arguments.grid)
    print(f"that took {bench.seconds:.0f} s", flush=True)
    arguments.found.mkdir(parents=True, exist_ok=True)
    for name in arguments.faults or FAULTS:
        title, inject = FAULTS[name]
        command = f"python scripts/chaos.py {name} --tries {arguments.tries}"
        command += f" --grid {arguments.grid} --seed {arguments.seed}"
        tries: list[Try] = []
        for each in inject(bench, arguments.tries, random.Random(f"{arguments.seed} {name}")):
            tries.append(each)
            text = json.dumps(asdict(Fault(title, command, tries)), indent=2) + "\n"
            (arguments.found / f"{name}.json").write_text(text, encoding="utf-8")
            print(f"{name} {len(tries)}: {each}", flush=True)
            if time.monotonic() > end:
                print(f"out of time after {len(tries)} tries of {name}", flush=True)
                break


def _read(path: Path) -> Fault:
    content = json.loads(path.read_text(encoding="utf-8"))
    return Fault(content["title"], content["command"], [Try(**each) for each in content["tries"]])
