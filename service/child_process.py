"""How a job's child behaves towards the service that started it: it dies with it, and it gives way to it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path

NICENESS = 10
OUT_OF_MEMORY_SCORE = "500"
PARENT_GONE = 75


def stop_with_parent() -> None:
    """Stop this process, and all that it started, as soon as its parent is gone.

    Standard input is a pipe whose other end only the parent holds: it ends when the parent does, even by SIGKILL.
    """
    threading.Thread(target=_wait_for_the_parent, name="parent-watcher", daemon=True).start()


def _wait_for_the_parent() -> None:
    stdin = sys.__stdin__.fileno() if sys.__stdin__ is not None else 0
    while os.read(stdin, 1024):
        continue
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(PARENT_GONE)


def give_way() -> None:
    """Let the service go first: a lower priority, and the first choice of the out-of-memory killer."""
    os.nice(NICENESS)
    with suppress(OSError):  # Linux only, and not in every container
        Path("/proc/self/oom_score_adj").write_text(OUT_OF_MEMORY_SCORE, encoding="ascii")
