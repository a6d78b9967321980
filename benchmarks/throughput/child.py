"""Long-lived child programs that a benchmark asks in turn; between two questions a child waits on a pipe, idle.

A child is a program of its own, so that it has the environment that is asked for from its first instruction.
Questions and answers are JSON, one a line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from models.process_environment import computing_environment

ROOT = Path(__file__).parents[2]
# What people and test runners set for numerical libraries; a default environment has none of it.
TUNING_PREFIXES = ("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "GLIBC_", "MALLOC_", "TORCH_")

Message = dict[str, Any]


def default_environment(threads: int | None = None) -> dict[str, str]:
    """Give the environment in which users start Python; with a number of threads if they know that much."""
    plain = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(TUNING_PREFIXES) and name != "LD_PRELOAD"
    }
    return plain if threads is None else plain | {"OMP_NUM_THREADS": str(threads)}


def product_environment(threads: int | None = None) -> dict[str, str]:
    """Give the environment in which the service computes."""
    return computing_environment(default_environment(), threads)


class Child:
    """A running child program."""

    def __init__(
        self, module: str, arguments: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        """Start ``python -m module arguments``; it is not waited for."""
        self._name = " ".join([module, *arguments])
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(environment),
            cwd=ROOT,
            text=True,
        )

    def send(self, question: Message) -> None:
        """Ask without waiting for the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()

    def receive(self) -> Message:
        """Wait for the next answer; the first one comes without a question, when the child is ready.

        Raises:
            RuntimeError: The child has ended; it said why on its standard error.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._name} ended with status {self._process.wait()}")
        answer: Message = json.loads(line)
        return answer

    def ask(self, question: Message) -> Message:
        """Ask and wait for the answer."""
        self.send(question)
        return self.receive()

    def end(self) -> None:
        """Let the child finish and wait for it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def serve(start: Callable[[], tuple[Message, Callable[[Message], Message]]]) -> None:
    """Be a child: start, tell so, answer until the parent closes the pipe.

    Args:
        start: Gives the first answer, and what answers each question.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # Whatever a library prints must not get among the answers.
    os.dup2(2, 1)

    def tell(answer: Message) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    ready, respond = start()
    tell(ready)
    for line in sys.stdin:
        tell(respond(json.loads(line)))
