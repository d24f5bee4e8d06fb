"""Objects of an attacker, which leave a mark if they are executed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


class Payload:
    """Create a folder if unpickled, called or imported: harmless and easy to detect."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        """Tell pickle to call `Path.mkdir`."""
        return Path.mkdir, (self.mark,)


@pytest.fixture
def payload(tmp_path) -> Iterator[Payload]:
    """Give a payload, and check afterwards that it was never executed."""
    mark = tmp_path / "executed"
    yield Payload(mark)
    assert not mark.exists()


@pytest.fixture
def evil_module(payload, tmp_path, monkeypatch) -> str:
    """Give the name of a package on the path whose import executes the payload."""
    folder = tmp_path / "path" / "evil"
    folder.mkdir(parents=True)
    text = f"from pathlib import Path\nPath({str(payload.mark)!r}).mkdir()\nclass Evil: ...\n"
    for name in ("__init__", "inner"):
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(folder.parent)
    return "evil"
