"""Wait for what another process is about to do."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(
    is_so: Callable[[], object], seconds: float = 10.0, *, pause_seconds: float = 0.01
) -> None:
    """Return as soon as ``is_so()`` is true; with longer pauses where asking costs more than looking.

    Raises:
        AssertionError: It has not become true in time.
    """
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(pause_seconds)
