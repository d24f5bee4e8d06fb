"""docs/reliability.md: the table of all faults, what was lost, and what it means."""

import re
from collections.abc import Mapping

from faults.rows import Fault, table

FOLDER = re.compile(r"[^\s'(]*/hourglass-chaos-[^/]+/[^/]+/")  # of a copy that was broken
INTRODUCTION = """# Reliability

What goes wrong on purpose, how often it was tried, and what was lost. Made by `python
scripts/chaos.py`, in copies of this repository. A try ends well where either every output is
byte-identical to that of an undisturbed run and MLflow has the same rows (as many, FINISHED, the
same params, metrics, curves and files), or one sentence says what is broken and how to mend it and
the same command then goes on to that end. Left out of the comparison are what MLflow calls a run
(`run_id`), and when something was done and how long it took (`timing.json`, four entries of
`training.json`, metrics with `second` in their name).

A loss is whatever else came of a try: a difference, half a file, a traceback, a silent stop.
"""


def page(found: Mapping[str, tuple[str, Fault]]) -> str:
    """Return the page of what was found: by the name of a fault its command and its tries.

    Paths are those within the copy.
    """
    parts = [INTRODUCTION, table(fault for _, fault in found.values())]
    for name, (command, fault) in found.items():
        parts.append(f"\n## {name.replace('_', ' ')}\n\n`{command}`")
        if fault.note:
            parts.append(f"\n{fault.note}")
        if sentences := sorted({each.said for each in fault.tries if each.said}):
            parts.append("\nWhat was said:\n")
            parts += [f"- {each}" for each in sentences]
        if losses := sorted({lost for each in fault.tries for lost in each.lost}):
            parts.append("\nWhat was lost:\n")
            parts += [f"- {each}" for each in losses]
    return FOLDER.sub("", "\n".join(parts)) + "\n"
