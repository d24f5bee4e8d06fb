"""Progress of work with countable units: a bar on a terminal, a line now and then elsewhere."""

import sys
from contextlib import ExitStack
from io import StringIO
from typing import Any

from tqdm import tqdm

from hourglass.core.progress import reporting


class ProgressBar(tqdm):
    """A tqdm bar that prints the lines of `core.progress` if standard error is not a terminal.

    `show=False` prints nothing anywhere. Close it, use it as a context, or iterate to the end.
    """

    monitor_interval = 0  # no thread of tqdm: the thread of `core.progress` refreshes the bar

    def __init__(self, *args: Any, unit: str = " items", show: bool = True, **options: Any) -> None:
        self.lines = ExitStack()
        self.is_bar = sys.stderr.isatty()
        if not self.is_bar:
            options["file"] = StringIO()  # stays empty; `ProgressBar.write` clears no bar
        super().__init__(*args, unit=unit, disable=not show, miniters=1, **options)
        if show:
            self.lines.enter_context(reporting(self._refreshed))

    def display(self, *args: Any, **options: Any) -> None:
        """Draw the bar on a terminal."""
        if self.is_bar:
            super().display(*args, **options)

    def close(self) -> None:
        """Remove the bar, or end the lines."""
        super().close()
        self.lines.close()

    def _refreshed(self) -> str | None:
        """Return the line for a log; on a terminal, show the time so far on the bar instead."""
        if self.is_bar:
            self.refresh()
            return None
        of_total = " of {total_fmt}" if self.total else ""
        left = ", about {remaining} left" if self.total and self.n > self.initial else ""
        line = f"{{desc}}: {{n_fmt}}{of_total}{{unit}}, {{elapsed}}{left}{{postfix}}"
        # Without `rate`, the time left follows from the mean rate since the start.
        scale = self.unit_scale if self.n else False  # tqdm scales 0 to 0.00
        settings = {"bar_format": line, "rate": None, "unit_scale": scale}
        return str(self.format_meter(**self.format_dict | settings))
