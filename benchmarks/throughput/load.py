"""How busy the machine was with other things while a benchmark ran: timings on a busy machine are to be distrusted."""

from __future__ import annotations

import time

import psutil


class OtherLoad:
    """Cores that programs other than this one and its children keep busy, since it was constructed.

    Only children that are alive at both ends are told from strangers.
    """

    def __init__(self) -> None:
        """Take the first reading."""
        self._busy, self._own, self._at = _busy_seconds(), _own_seconds(), time.monotonic()

    def cores(self) -> float:
        """Give the mean number of cores."""
        others = (_busy_seconds() - self._busy) - (_own_seconds() - self._own)
        return max(0.0, others / (time.monotonic() - self._at))


def _busy_seconds() -> float:
    """Processor time of the whole machine, stolen time included."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0))


def _own_seconds() -> float:
    own = psutil.Process()
    total = 0.0
    for process in (own, *own.children(recursive=True)):
        times = process.cpu_times()
        total += times.user + times.system
    return total
