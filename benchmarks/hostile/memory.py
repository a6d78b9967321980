"""Resident memory of a service and of all that it started, read while something happens."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

import psutil

PAUSE_SECONDS = 0.01


def tree_bytes(pid: int) -> int:
    """Resident memory of a process and of its descendants; libraries that they share count for each.

    Between its start and its first instruction a child is its parent once more, and shares all of its memory: until
    it has a command line of its own it is not counted.
    """
    try:
        root = psutil.Process(pid)
        own, total = root.cmdline(), root.memory_info().rss
        children = root.children(recursive=True)
    except psutil.NoSuchProcess:
        return 0
    for child in children:
        try:
            if child.cmdline() != own:
                total += child.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return int(total)


class PeakWatch:
    """Reads the memory of a process tree every 10 ms in a thread; a context manager.

    Attributes:
        before_bytes: When it began.
        peak_bytes: The most that was seen, ``before_bytes`` included.
    """

    def __init__(self, pid: int) -> None:
        """Bind the root of the tree."""
        self._pid = pid
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.before_bytes = self.peak_bytes = tree_bytes(pid)

    @property
    def risen_mib(self) -> float:
        """The peak above what there was before, in MiB."""
        return (self.peak_bytes - self.before_bytes) / 2**20

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._is_over.wait(PAUSE_SECONDS):
            self.peak_bytes = max(self.peak_bytes, tree_bytes(self._pid))
