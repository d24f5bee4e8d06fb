"""Progress lines: which work they name, when they end, and silence of short work."""

import io
import threading
from types import SimpleNamespace

import pytest

from hourglass.core import progress
from hourglass.core.progress import step
from hourglass.core.progress_bar import ProgressBar


class Log(io.StringIO):
    """Standard error that is no terminal; `wait` returns the next line."""

    def __init__(self) -> None:
        super().__init__()
        self.printed = threading.Condition()

    def write(self, text: str) -> int:
        with self.printed:
            self.printed.notify_all()
            return super().write(text)

    def wait(self, text: str) -> str:
        """Wait until a line holds a text; return that line."""
        with self.printed:
            assert self.printed.wait_for(lambda: text in self.getvalue(), timeout=60)
            return next(line for line in self.getvalue().splitlines() if text in line)


@pytest.fixture
def log(monkeypatch) -> Log:
    """Give standard error, with a line every 10 ms."""
    replacement = Log()
    for module in ("progress", "progress_bar"):  # pytest replaces sys.stderr itself
        fake = SimpleNamespace(stderr=replacement)
        monkeypatch.setattr(f"hourglass.core.{module}.sys", fake)
    monkeypatch.setattr(progress, "FIRST_SECONDS", 0.01)
    return replacement


def reporters() -> int:
    return sum(thread.name.startswith(progress.THREAD) for thread in threading.enumerate())


def test_short_work_prints_nothing(log, monkeypatch):
    monkeypatch.setattr(progress, "FIRST_SECONDS", 3600)
    with step("read the files"):
        assert list(ProgressBar(range(3), "rows")) == [0, 1, 2]
    assert log.getvalue() == ""
    assert not reporters()


def test_the_innermost_work_is_named_until_it_ends(log):
    with step("evaluate"):
        with step("figures"):
            assert log.wait("figures") == "figures, 00:00"
        assert log.wait("evaluate") == "evaluate, 00:00"
    assert not reporters()


def test_a_bar_in_a_log_counts_and_tells_the_time_left(log):
    with ProgressBar(desc="digits", total=8, unit=" epochs") as bar:
        assert log.wait("digits") == "digits: 0 of 8 epochs, 00:00"
        bar.update(2)
        bar.set_postfix_str("error 0.5")
        line = log.wait("2 of 8")
        assert line.startswith("digits: 2 of 8 epochs, 00:00, about ")
        assert log.wait("error").endswith("left, error 0.5")
    assert not reporters()


def test_an_error_ends_the_lines(log):
    bars = []

    def fail() -> None:
        with step("outer"):
            bars.append(ProgressBar([1, 2], "inner"))  # not closed
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not reporters()
    with step("next"):
        log.wait("next")
    bars[0].close()


def test_earlier_units_do_not_count_for_the_time_left(log):
    with ProgressBar(desc="study", total=8, unit=" trials", initial=6):
        assert log.wait("study") == "study: 6 of 8 trials, 00:00"


def test_no_unit_is_0_where_numbers_are_scaled(log):
    with ProgressBar(desc="pumps.csv", unit=" samples", unit_scale=True):
        assert log.wait("pumps.csv") == "pumps.csv: 0 samples, 00:00"


def test_a_hidden_bar_prints_nothing(log):
    for _ in ProgressBar(range(3), "rows", show=False):
        assert not reporters()
    assert log.getvalue() == ""


def test_a_terminal_gets_a_bar(log, monkeypatch):
    monkeypatch.setattr(log, "isatty", lambda: True)
    assert list(ProgressBar(range(2), "rows", file=log)) == [0, 1]
    assert "100%" in log.getvalue()
