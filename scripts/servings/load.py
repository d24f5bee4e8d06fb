"""Clients that ask again and again, and what they had to wait."""

import http.client
import json
import threading
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

CLOSE = 1e-5  # of two scores, relative
KEYS = ("score", "threshold", "alarm", "p_value")


@dataclass(frozen=True)
class Load:
    """One request, and the answer that it must get."""

    port: int
    body: bytes
    kind: str
    expected: list[dict[str, Any]]

    def right(self, status: int, answer: bytes) -> bool:
        """Return whether an answer says what the detector says."""
        if status != 200:
            return False
        found = json.loads(answer)["predictions"]
        one, other = (
            np.array([[row[key] for key in KEYS] for row in rows], float)
            for rows in (found, self.expected)
        )
        return one.shape == other.shape and np.allclose(one, other, rtol=CLOSE)


def press(load: Load, clients: int, seconds: float) -> dict[str, float]:
    """Have so many clients ask for so long; return answers, errors and latencies in ms.

    An answer that another has been found equal to, byte by byte, is not parsed again: that would
    take the time of the server.
    """
    waits: list[float] = []
    errors: list[str] = []
    known: set[bytes] = set()
    end = time.perf_counter() + seconds

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", load.port, timeout=120)
        while (start := time.perf_counter()) < end:
            connection.request("POST", "/invocations", load.body, {"Content-Type": load.kind})
            answer = connection.getresponse()
            content = answer.read()
            waits.append(time.perf_counter() - start)
            if content not in known:
                if load.right(answer.status, content):
                    known.add(content)
                else:
                    errors.append(content.decode()[:200])

    def client() -> None:
        try:
            ask()
        except (OSError, http.client.HTTPException, ValueError) as error:
            errors.append(repr(error))

    begin = time.perf_counter()
    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = time.perf_counter() - begin
    for error in errors[:3]:
        print("error:", error)
    p50, p99 = 1000 * np.percentile(waits, [50, 99])
    answers = len(waits) - len(errors)
    return {"answers": answers, "errors": len(errors), "seconds": taken, "p50": p50, "p99": p99}
