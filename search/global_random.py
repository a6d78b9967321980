"""A private stream for libraries that draw from Python's global ``random`` module.

DEAP and simanneal do.  Entering the stream installs its own state there and leaving it restores the caller's, so
that no draw of one optimizer, chain or user program moves another's.
"""

from __future__ import annotations

import random
from types import TracebackType


class GlobalRandomStream:
    """A context manager; not reentrant, and only one stream may be entered at a time."""

    def __init__(self, seed: int) -> None:
        """Start the stream as ``random.seed(seed)`` would."""
        self._own = random.Random(seed).getstate()
        self._callers = self._own

    def __enter__(self) -> None:
        """Install the stream's state in the global module."""
        self._callers = random.getstate()
        random.setstate(self._own)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Keep where the stream stands and give the caller its state back."""
        self._own = random.getstate()
        random.setstate(self._callers)
