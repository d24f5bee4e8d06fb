"""Progress of work with countable units: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any

from tqdm import tqdm

from hourglass.core.progress import reporting


class ProgressBar(tqdm):
    """A tqdm bar that prints the lines of `core.progress` if standard error is no terminal.

    `show=False` prints nothing anywhere. Close it, use it as a context, or iterate to the end.
    """

    is_lines = False

    def __init__(
        self,
        iterable: Iterable[Any] | None = None,
        desc: str = "",
        total: float | None = None,
        *,
        unit: str = " items",
        unit_scale: bool = False,
        show: bool = True,
        **options: Any,
    ) -> None:
        is_lines = show and not sys.stderr.isatty()
        if total is None and hasattr(iterable, "__len__"):
            total = len(iterable)  # type: ignore[arg-type]
        scale = {"unit": unit, "unit_scale": unit_scale}
        super().__init__(iterable, desc, total, disable=is_lines or not show, **scale, **options)
        self.lines = ExitStack()
        if is_lines:
            self.is_lines = True
            # tqdm does not set these for a disabled bar.
            self.desc, self.unit, self.unit_scale, self.postfix = desc, unit, unit_scale, None
            self.n = self.initial = options.get("initial", 0)
            self.start_t = time.monotonic()
        if show:
            self.lines.enter_context(reporting(self._line if is_lines else self._tick))

    def _line(self) -> str:
        of_total = " of {total_fmt}" if self.total else ""
        left = ", about {remaining} left" if self.total and self.n > self.initial else ""
        return self.format_meter(
            self.n,
            self.total,
            time.monotonic() - self.start_t,
            prefix=self.desc,
            unit=self.unit,
            unit_scale=self.unit_scale,
            initial=self.initial,
            postfix=self.postfix,
            bar_format=f"{{desc}}: {{n_fmt}}{of_total}{{unit}}, {{elapsed}}{left}{{postfix}}",
        )

    def _tick(self) -> None:
        """Show the time so far on the bar."""
        self.refresh()

    def __iter__(self) -> Iterator[Any]:
        """Iterate over the items and count them."""
        if not self.is_lines:
            yield from super().__iter__()
            return
        with self:
            for item in self.iterable:
                yield item
                self.update()

    def update(self, n: float | None = 1) -> bool | None:
        """Count `n` more units."""
        if not self.is_lines:
            return super().update(n)
        self.n += n or 0
        return None

    def close(self) -> None:
        """Remove the bar, or end the lines."""
        super().close()
        if hasattr(self, "lines"):  # absent if the constructor failed
            self.lines.close()
