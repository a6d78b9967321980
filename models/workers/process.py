"""One worker process as its parent sees it: started, talked to, noticed when it dies, ended.

Workers are started as programs of their own, not by ``multiprocessing``: its children import the parent's main module
again, and with it a script that calls a search without a main guard.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from multiprocessing import Pipe
from typing import Any

from models.process_environment import computing_environment
from search.errors import WorkerDiedError

LAST_WORDS_BYTES, LAST_WORDS_LINES = 32_000, 20
CRASH = "Fatal Python error"
# A worker whose connection has ended is about to end; one that hangs there is killed.
SECONDS_TO_DIE = 5.0
# Ctrl-C reaches all processes of a terminal, and it is the parent that decides what it means.  The parent's module
# path comes first: this package may lie anywhere on it, and so may the user's modules.
BOOT = """
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
from multiprocessing.connection import Connection
connection = Connection(int(sys.argv[1]))
sys.path[:] = connection.recv()
from models.workers.worker import main
main(connection)
"""


class WorkerProcess:
    """A process in the group of this one, so that a signal to the group reaches it.

    It inherits the reading end of a pipe as its standard input, whose writing end only this process holds: when this
    process dies, however it dies, the worker reads end-of-file and stops.
    """

    def __init__(self, threads: int) -> None:
        """Start the process; it is not waited for.

        Raises:
            OSError: The machine would not start it.
        """
        self.connection, theirs = Pipe()
        # A file, not a pipe: nobody has to read it while the worker lives.
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by end()
        try:
            self._process = subprocess.Popen(
                # -P: a folder of users' files may be the current one, and hold a "models" of its own.
                [sys.executable, "-P", "-c", BOOT, str(theirs.fileno())],
                stdin=subprocess.PIPE,
                stderr=self._errors,
                env=computing_environment(os.environ, threads),
                pass_fds=[theirs.fileno()],
            )
        except OSError:
            self.connection.close()
            self._errors.close()
            raise
        finally:
            theirs.close()
        with suppress(OSError):  # its death is noticed at the first answer
            self.connection.send(sys.path)

    @property
    def process_id(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """False as soon as it has ended."""
        return self._process.poll() is None

    def send(self, message: object) -> None:
        """Send a message; blocks while the worker has not read a large one before it.

        Raises:
            WorkerDiedError: It has ended.
        """
        try:
            self.connection.send(message)
        except OSError as error:
            raise self._death() from error

    def send_bytes(self, message: bytes) -> None:
        """Send a message that is pickled already.

        Raises:
            WorkerDiedError: It has ended.
        """
        try:
            self.connection.send_bytes(message)
        except OSError as error:
            raise self._death() from error

    def receive(self) -> Any:
        """Wait for a message.

        Raises:
            WorkerDiedError: It has ended without one.
        """
        try:
            return self.connection.recv()
        except (EOFError, OSError) as error:
            raise self._death() from error

    def end(self) -> None:
        """End the process at once and wait for it; between two requests it has nothing to save."""
        self._process.kill()
        self._process.wait()
        self.connection.close()
        self._errors.close()
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _death(self) -> WorkerDiedError:
        try:
            status = self._process.wait(SECONDS_TO_DIE)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGABRT)  # its faulthandler says where it hangs
            status = self._process.wait()
        return WorkerDiedError(status, self._last_words())

    def _last_words(self) -> str:
        """What a crash began with, or else the last lines that the process wrote to its standard error."""
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - LAST_WORDS_BYTES))
        text = self._errors.read().decode("utf-8", "replace")
        _, crash, stack = text.rpartition(CRASH)
        if crash:
            # The innermost calls come first, and a list of all compiled modules last.
            return "\n".join((crash + stack).splitlines()[:LAST_WORDS_LINES])
        return "\n".join(text.splitlines()[-LAST_WORDS_LINES:])
