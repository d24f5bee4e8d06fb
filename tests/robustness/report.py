"""Results of fault injection, and docs/benchmarks/reliability.md, which summarises them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

COLUMNS = ("fault", "where", "tries", "results identical", "clear message", "losses")
COPY_FOLDER = re.compile(r"[^\s'(]*/hourglass-chaos-[^/]+/[^/]+/")  # paths in messages
INTRODUCTION = """# Reliability

Faults injected into copies of this repository by `python scripts/chaos.py`, with the number of
tries and losses. A try succeeds if every output is byte-identical to that of an undisturbed run and
MLflow has the same runs (same number, FINISHED, same params, metrics, curves and files), or if one
sentence names the problem and the way out and the same command then reaches that result. The
comparison leaves out MLflow's run ids and timings (`runs/<data>/<model>/tracking/`, metrics with
`second` in their name). The result of a malformed input is identical if it equals that of a
reference reader. Rot keeps the modification time of the file with the flipped bit; a change does
not.

A loss is any other end: a difference, a partial file, a traceback, a stop without a message.
`clear message` counts the tries with such a sentence.
"""


@dataclass(frozen=True)
class Try:
    """The result of one injected fault. A loss is neither an identical result nor a message."""

    place: str
    identical: bool  # after the fault was over and the same command ran again
    message: str = ""  # the sentence with which the fault stopped a command
    losses: Sequence[str] = ()


@dataclass(frozen=True)
class Fault:
    """A kind of fault, the command that injected it, and its tries."""

    title: str
    command: str
    tries: Sequence[Try]

    def rows(self) -> list[tuple[str, ...]]:
        """Return one table row per place that was hit, sorted by place."""
        rows = []
        for place in sorted({each.place for each in self.tries}):
            tries = [each for each in self.tries if each.place == place]
            ends = [(each.identical, bool(each.message), bool(each.losses)) for each in tries]
            counts = (len(tries), *map(sum, zip(*ends, strict=True)))
            rows.append((self.title, place, *map(str, counts)))
        return rows


def page(faults: Mapping[str, Fault]) -> str:
    """Return the page: a table of all faults, then the messages and losses of each by name."""
    rows = [
        COLUMNS,
        ("---",) * len(COLUMNS),
        *(row for each in faults.values() for row in each.rows()),
    ]
    parts = [INTRODUCTION, *(f"| {' | '.join(row)} |" for row in rows)]
    for name, fault in faults.items():
        parts.append(f"\n## {name.replace('_', ' ')}\n\n`{fault.command}`")
        messages = {each.message for each in fault.tries if each.message}
        losses = {loss for each in fault.tries for loss in each.losses}
        for title, lines in (("Messages", messages), ("Losses", losses)):
            if lines:
                parts += [f"\n{title}:\n", *(f"- {line}" for line in sorted(lines))]
    return COPY_FOLDER.sub("", "\n".join(parts)) + "\n"
