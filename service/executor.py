"""Where a job's child runs: the seam behind which a machine, a container or a cluster can stand."""

from __future__ import annotations

from typing import Protocol

from search.registry import PluginConfig, Registry
from service.queue import Claim
from service.settings import Settings


class Child(Protocol):
    """One child process of a job.

    The promise: no call blocks; a child whose supervisor died ends by itself within a second.
    """

    def exit_status(self) -> int | None:
        """None while it runs; else the exit code, or minus the signal that ended it."""
        ...

    def ask_to_end(self) -> None:
        """Ask it and all that it started to end (SIGTERM); nothing happens where it has ended."""
        ...

    def kill(self) -> None:
        """End it and all that it started (SIGKILL); nothing happens where it has ended."""
        ...

    def last_words(self) -> str:
        """The end of what it wrote to its log, for the problem document of a job whose child died."""
        ...


class Execution(Protocol):
    """Starts children."""

    def __init__(self, config: PluginConfig, settings: Settings) -> None:
        """Bind the spec's options and the service's settings."""
        ...

    def start(self, claim: Claim) -> Child:
        """Start the child of a claimed job.

        Raises:
            OSError: It cannot be started.
        """
        ...


EXECUTION: Registry[Execution] = Registry("execution", "service.execution")
