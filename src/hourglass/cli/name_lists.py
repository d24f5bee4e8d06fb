"""Lists of names on the command line, such as labels and columns."""

import csv
from collections.abc import Sequence


def parse_names(text: str) -> tuple[str, ...]:
    """Return the names in a comma-separated list; as in CSV, quotes enclose a name with a comma."""
    words = next(csv.reader([text], skipinitialspace=True), []) if '"' in text else text.split(",")
    return tuple(word.strip() for word in words if word.strip())


def format_names(names: Sequence[str]) -> str:
    """Return the comma-separated list of names, the inverse of `parse_names`."""
    quoted = ('"' + name.replace('"', '""') + '"' for name in names)
    return ",".join(
        text if {",", '"'} & {*name} else name for name, text in zip(names, quoted, strict=True)
    )
