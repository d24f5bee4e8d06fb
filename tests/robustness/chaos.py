"""Command line of the fault injection; writes docs/reliability.md.

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
from pathlib import Path
from unittest import mock

from tests.robustness.checkout import GRIDS
from tests.robustness.disks import full_disks, read_only_disks
from tests.robustness.kills import kills
from tests.robustness.outcome import Bench
from tests.robustness.report import Fault, Try, page
from tests.robustness.servers import servers
from tests.robustness.together import together
from tests.workspaces import ROOT

RESULTS = ROOT / "build" / "chaos"
PAGE = ROOT / "docs" / "reliability.md"
OWN_MOUNTS = "HOURGLASS_CHAOS_OWN_MOUNTS"  # set in a process with a mount namespace of its own
TRIALS_PER_KILL = 10  # of a study: it must not be complete before the last kill
WORKER_LOSSES = (
    *("duplicated", "lost", "unfinished"),
    *("recorded twice", "not recorded", "recorded though killed"),
)


def flips(bench: Bench, tries: int, rng: random.Random) -> Iterator[Fault]:
    """Yield the fault once: flipped bits in the files of a workspace."""
    from tests.robustness.flips import flip_bits  # imports torch

    note = "`python -m tests.robustness.flips` shows the detections per reader. "
    note += "Rot keeps the modification time; a change does not."
    fault = Fault("a flipped bit in", note=note)
    checkout = bench.complete.copy("flipped")
    with mock.patch.dict("os.environ", checkout.environment(), clear=True):
        for row in flip_bits(checkout.folder, tries, rng.randrange(1 << 30)):
            where = f"{row['artefact']} ({row['fault']})"
            detected = int(row["tries"] - row["silent"])
            fault.tries += [Try(where, False, "named, with the way to repair it")] * detected
            silent = Try(where, False, "", ["a flipped bit was accepted."])
            fault.tries += [silent] * int(row["silent"])
    yield fault


def fuzz(bench: Bench, tries: int, rng: random.Random) -> Iterator[Fault]:
    """Yield the fault once: malformed files and command lines for every reader."""
    from tests.robustness.fuzz import run_cases  # imports torch

    fault = Fault("malformed", note="`results identical`: read like a reference reader.")
    for row in run_cases(tries, rng.randrange(1 << 30)):
        fault.tries += [Try(row["kind"], False, "rejected")] * row["refused"]
        fault.tries += [Try(row["kind"], True)] * row["right"]
        for end in ("tracebacks", "wrong"):
            fault.tries += [Try(row["kind"], False, "", [f"{end}."])] * row[end]
    yield fault


def workers(bench: Bench, tries: int, rng: random.Random) -> Iterator[Fault]:
    """Yield the fault once: workers of a study on PostgreSQL, one killed every ten seconds."""
    from tests.robustness.workers import disturb_study  # starts servers

    counts = disturb_study(kills=tries, trials=TRIALS_PER_KILL * tries)
    lost = [f"{name}: {counts[name]}." for name in WORKER_LOSSES if counts[name]]
    if counts["finished"] != counts["requested"]:
        lost.append(f"{counts['finished']} trials instead of {counts['requested']}.")
    note = f"Trials and workers: {', '.join(f'{name} {count}' for name, count in counts.items())}."
    one = Try("four workers of a study on PostgreSQL", not lost, "", lost)
    yield Fault("`kill -9` every 10 s of one of", [one] * tries, note)


FAULTS: dict[str, Callable[[Bench, int, random.Random], Iterator[Fault]]] = {
    function.__name__: function
    for function in (
        *(kills, full_disks, read_only_disks, together),
        *(servers, workers, flips, fuzz),
    )
}


def main() -> None:
    """Inject the chosen faults and write the page."""
    arguments = _arguments()
    if not arguments.page:
        _enter_mount_namespace()
        with tempfile.TemporaryDirectory(prefix="hourglass-chaos-") as folder:
            _inject(arguments, Path(folder))
    text = page({path.stem: _read(path) for path in sorted(arguments.found.glob("*.json"))})
    arguments.out.write_text(text, encoding="utf-8", newline="\n")
    print(text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=", ".join(FAULTS))
    parser.add_argument("--tries", type=int, default=7, help="number of tries per fault")
    parser.add_argument("--grid", choices=GRIDS, default="small")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=60.0, help="time limit for new tries")
    parser.add_argument("--page", action="store_true", help="only write the page")
    parser.add_argument("--found", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--out", type=Path, default=PAGE, help="path of the page")
    arguments = parser.parse_args()
    if unknown := sorted(set(arguments.faults) - FAULTS.keys()):
        parser.error(f"unknown fault {', '.join(unknown)}; available: {', '.join(FAULTS)}")
    return arguments


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
        rng = random.Random(f"{arguments.seed} {name}")
        for fault in FAULTS[name](bench, arguments.tries, rng):
            _save(arguments, name, fault)
            if time.monotonic() > end:
                print(f"out of time after {len(fault.tries)} tries of {name}", flush=True)
                break


def _save(arguments: argparse.Namespace, name: str, fault: Fault) -> None:
    command = f"python scripts/chaos.py {name} --tries {arguments.tries}"
    command += f" --grid {arguments.grid} --seed {arguments.seed}"
    text = json.dumps({"command": command, **fault.to_dict()}, indent=2) + "\n"
    (arguments.found / f"{name}.json").write_text(text, encoding="utf-8")
    print(f"{name}: {len(fault.tries)} tries, the last one: {fault.tries[-1]}", flush=True)


def _read(path: Path) -> tuple[str, Fault]:
    """Return the command that injected a fault, and the fault."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return content.pop("command"), Fault.from_dict(content)
