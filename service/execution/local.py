"""Runs a job's child as a process of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Literal

from search.registry import PluginConfig
from service.executor import EXECUTION
from service.queue import Claim
from service.settings import Settings

LOG_NAME = "log.txt"
# Where this very package lies: the child runs the same code, installed or not.
PACKAGES = str(Path(__file__).parents[2])
LAST_WORDS_BYTES = 4_000
LAST_WORDS_LINES = 20


class LocalExecutionConfig(PluginConfig):
    """Options of a search that runs on the machine of the service."""

    kind: Literal["local"] = "local"


@EXECUTION.register(LocalExecutionConfig)
class LocalExecution:
    """Starts ``python -m service.job`` with the job's id, its token and the settings: nothing else."""

    def __init__(self, config: PluginConfig, settings: Settings) -> None:  # noqa: ARG002 - no options
        """Bind the settings that the child is to see."""
        self._settings = settings

    def start(self, claim: Claim) -> LocalChild:
        """Start the child.

        Raises:
            OSError: The process or its log cannot be created.
        """
        folder = self._settings.job_dir(claim.job_id)
        folder.mkdir(parents=True, exist_ok=True)
        command = [
            sys.executable,
            "-P",  # a folder of users' files may be the current one, and hold a "service" of its own
            "-m",
            "service.job",
            claim.job_id,
            "--token",
            str(claim.fencing_token),
        ]
        environment = self._settings.child_environment()
        inherited = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join(
            [PACKAGES, inherited] if inherited else [PACKAGES]
        )
        return LocalChild(command, folder / LOG_NAME, environment)


class LocalChild:
    """A process in a session of its own, so that a signal reaches all that it starts and nothing else.

    It inherits the reading end of a pipe as its standard input; only this process holds the writing end.  When this
    process dies, however it dies, the child reads end-of-file and stops.
    """

    def __init__(self, command: list[str], log: Path, environment: dict[str, str]) -> None:
        """Start the process; what it prints is appended to ``log``."""
        self._log = log
        with log.open("ab") as output:
            self._log_start = output.tell()
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    def exit_status(self) -> int | None:
        """None while it runs; else the exit code, or minus the signal that ended it."""
        if self._process.returncode is not None:
            return self._process.returncode
        # Look without reaping: until it is reaped, its process group cannot become another's.
        if os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return None
        self._signal(signal.SIGKILL)
        if self._process.stdin is not None:
            self._process.stdin.close()
        return self._process.wait()

    def ask_to_end(self) -> None:
        """Send SIGTERM to it and all that it started."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL to it and all that it started."""
        self._signal(signal.SIGKILL)

    def last_words(self) -> str:
        """The last lines that this process, not one before it, wrote to the log."""
        with suppress(OSError), self._log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, size - LAST_WORDS_BYTES))
            lines = log.read().decode("utf-8", "replace").splitlines()
            return "\n".join(lines[-LAST_WORDS_LINES:])
        return ""

    def _signal(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
