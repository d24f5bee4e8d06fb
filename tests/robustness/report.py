"""Results of fault injection, and docs/reliability.md, which summarises them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

COLUMNS = ("fault", "where", "tries", "results identical", "clear message", "losses")
COPY_FOLDER = re.compile(r"[^\s'(]*/hourglass-chaos-[^/]+/[^/]+/")  # paths in messages
INTRODUCTION = """# Reliability

Faults injected into copies of this repository by `python scripts/chaos.py`, with the number of
tries and losses. A try succeeds if every output is byte-identical to that of an undisturbed run and
MLflow has the same runs (same number, FINISHED, same params, metrics, curves and files), or if one
sentence names the problem and the way out and the same command then reaches that result. The
comparison leaves out MLflow's run ids and timings (`runs/<data>/<model>/tracking/`, metrics with
`second` in their name).

A loss is any other end: a difference, a partial file, a traceback, a stop without a message.
`clear message` counts the tries with such a sentence.
"""


@dataclass(frozen=True)
class Try:
    """The result of one injected fault. A loss is neither an identical result nor a message."""

    where: str
    identical: bool  # after the fault was over and the same command ran again
    said: str = ""  # the sentence with which the fault stopped a command
    lost: Sequence[str] = ()


@dataclass
class Fault:
    """A kind of fault with all of its tries."""

    name: str
    tries: list[Try] = field(default_factory=list)
    note: str = ""

    def rows(self) -> list[tuple[str, ...]]:
        """Return one table row per place that was hit, sorted by place."""
        return [self._row(place) for place in sorted({each.where for each in self.tries})]

    def _row(self, place: str) -> tuple[str, ...]:
        here = [each for each in self.tries if each.where == place]
        columns = ([each.identical for each in here], [each.said for each in here])
        counts = (len(here), *(sum(map(bool, column)) for column in columns))
        return (self.name, place, *map(str, counts), str(sum(bool(each.lost) for each in here)))

    def to_dict(self) -> dict[str, Any]:
        """Return a form that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Fault":
        """Return the fault that `to_dict` described."""
        return cls(content["name"], [Try(**each) for each in content["tries"]], content["note"])


def table(faults: Iterable[Fault]) -> str:
    """Return the faults as a Markdown table."""
    rows = [COLUMNS, ("---",) * len(COLUMNS), *(row for fault in faults for row in fault.rows())]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def page(results: Mapping[str, tuple[str, Fault]]) -> str:
    """Return the page: for each fault by name, the command that injected it and its tries."""
    parts = [INTRODUCTION, table(fault for _, fault in results.values())]
    for name, (command, fault) in results.items():
        parts.append(f"\n## {name.replace('_', ' ')}\n\n`{command}`")
        if fault.note:
            parts.append(f"\n{fault.note}")
        messages = {each.said for each in fault.tries if each.said}
        losses = {lost for each in fault.tries for lost in each.lost}
        for title, lines in (("Messages", messages), ("Losses", losses)):
            if lines:
                parts += [f"\n{title}:\n", *(f"- {line}" for line in sorted(lines))]
    return COPY_FOLDER.sub("", "\n".join(parts)) + "\n"
