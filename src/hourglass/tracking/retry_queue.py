"""Who does what a stage tells, in order, and goes on where a store that was away is back."""

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from hourglass.core.errors import UserError
from hourglass.tracking.outage import StoreUnavailable, judged
from hourglass.tracking.run_writer import Rows

ANSWERED = ("row", "open", "finish")
PAUSE = 2.0  # seconds between two tries
GRACE = 6.0  # seconds that a store which was there before has at the end, to be there again


class Clerk:
    """Keep a record, which `make` opens in the store at `uri`.

    Calls that are told while the store is away wait; each is one that may be repeated, as what is
    written already is not written again. After a refusal nothing more is done.
    """

    def __init__(self, make: Callable[[], Rows], uri: str, reach: Callable[[str], None]) -> None:
        self.make, self.uri, self.reach = make, uri, reach
        self.record: Rows | None = None
        self.waiting: deque[dict[str, Any]] = deque()
        self.result: Any = None  # of the last call
        self.away = self.refusal = ""  # why nothing is done for now, or for good
        self.tried = float("-inf")

    def take(self, call: dict[str, Any]) -> dict[str, Any] | None:
        """Do a call as soon as it can be done; return the answer where its caller waits for one."""
        self.waiting.append(call)
        self.catch_up()
        if call["method"] not in ANSWERED:
            return None
        if call["method"] == "finish":
            self._insist()
        if self.refusal:
            return {"refusal": self.refusal}
        return {"away": self.away} if self.waiting else {"result": self.result}

    def catch_up(self) -> None:
        """Do what waits, unless the store was away just now."""
        if self.refusal or (self.away and time.monotonic() - self.tried < PAUSE):
            return
        served = self.record is not None and not self.away and self.uri.startswith("http")
        self._try()
        if self.away and served:  # it may be no more than a connection that was closed meanwhile
            self._try()

    def _insist(self) -> None:
        """Wait some seconds for a store that may only be starting again."""
        end = time.monotonic() + (GRACE if self.record else 0)
        while self.away and time.monotonic() < end:
            time.sleep(PAUSE / 4)
            self.catch_up()

    def _try(self) -> None:
        doing = "open"
        try:
            if self.away:
                self.reach(self.uri)
            self.away = ""
            self.record = self.record or self.make()
            while self.waiting:
                call = self.waiting[0]
                doing = call["method"]
                self.result = getattr(self.record, call["method"])(**call["arguments"])
                self.waiting.popleft()
        except Exception as error:
            found = judged(error, f"record `{doing}`", self.uri)
            if isinstance(found, UserError):
                self.refusal = str(found)
            else:
                assert isinstance(found, StoreUnavailable)
                self.away = str(found)
        self.tried = time.monotonic()
