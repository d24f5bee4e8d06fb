"""The rows of docs/reliability.md: what every kind of fault came to, in the same words."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field

HEAD = ("fault", "where", "tries", "results identical", "said in one sentence", "losses")


@dataclass(frozen=True)
class Try:
    """What one try came to; a loss is what was neither identical in the end nor said."""

    where: str
    identical: bool  # after the fault was over and the same command ran again
    said: str = ""  # the sentence, where the fault stopped a command
    lost: Sequence[str] = ()  # what differs, or was said in no sentence


@dataclass
class Fault:
    """A kind of fault and all of its tries."""

    name: str
    tries: list[Try] = field(default_factory=list)
    note: str = ""  # what the table does not say

    def rows(self) -> list[tuple[str, ...]]:
        """Return a row of cells for each place that was hit, in order of their names."""
        places = sorted({each.where for each in self.tries})
        return [self._row(place) for place in places]

    def _row(self, place: str) -> tuple[str, ...]:
        here = [each for each in self.tries if each.where == place]
        counts = (
            len(here),
            sum(each.identical for each in here),
            sum(bool(each.said) for each in here),
            sum(bool(each.lost) for each in here),
        )
        return (self.name, place, *map(str, counts))

    def to_dict(self) -> dict[str, object]:
        """Return what JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, found: dict) -> "Fault":
        """Return what `to_dict` was given."""
        return cls(found["name"], [Try(**each) for each in found["tries"]], found["note"])


def table(faults: Iterable[Fault]) -> str:
    """Return the faults as a Markdown table."""
    rows = [HEAD, ("---",) * len(HEAD), *(row for fault in faults for row in fault.rows())]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
