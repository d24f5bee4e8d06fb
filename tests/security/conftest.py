"""What an attacker plants: objects that leave a mark when they are loaded as code."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


class Payload:
    """Make a folder when unpickled, called or imported: harmless, and easy to see."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        """Tell pickle to call `Path.mkdir`."""
        return Path.mkdir, (self.mark,)


@pytest.fixture
def payload(tmp_path) -> Iterator[Payload]:
    """Give a payload, and see afterwards that it never ran."""
    mark = tmp_path / "it-ran"
    found = Payload(mark)
    yield found
    assert not mark.exists()


@pytest.fixture
def evil_module(payload, tmp_path, monkeypatch) -> str:
    """Give the name of a package on the path whose import leaves the payload's mark."""
    folder = tmp_path / "path" / "evil"
    folder.mkdir(parents=True)
    text = f"from pathlib import Path\nPath({str(payload.mark)!r}).mkdir()\nclass Evil: ...\n"
    for name in ("__init__", "inner"):
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(folder.parent)
    return "evil"
