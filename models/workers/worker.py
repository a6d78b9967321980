"""What a worker does: it measures candidates, or times plans, for the process that started it.

It answers each request with exactly one message.  Messages are pickled, which is safe because both ends are processes
of one program; a connection to anything else would let that other program run code here.
"""

from __future__ import annotations

import faulthandler
import os
import pickle
import threading
import traceback
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from models.evaluator import GraftEvaluator, Task
from models.final_artifacts import FinalArtifacts
from models.plans.memory import is_out_of_memory
from models.plans.plan import Plan
from models.plans.step_timing import step_milliseconds
from search.errors import (
    ChunkOutOfMemoryError,
    InvalidInputError,
    TransferMaskError,
    WorkerFailedError,
)
from search.evaluation import Candidate, Evaluation

PARENT_GONE = 75
MORE_EXPENDABLE, MOST_EXPENDABLE = 100, 1000
LIFELINE = 0
CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Start:
    """The first message: what is measured, and where the files of final evaluations go."""

    task: Task
    artifacts: FinalArtifacts | None


@dataclass(frozen=True, slots=True)
class Measure:
    """Measure one chunk under a plan of one process; answered by ``Measured``."""

    plan: Plan
    candidates: tuple[Candidate, ...]
    keeps_artifacts: bool


@dataclass(frozen=True, slots=True)
class TimePlan:
    """Warm up for timing a plan; answered by ``Ready``, after which the worker waits for ``Go``."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class Go:
    """All workers are warm, or one of them never will be; answered by ``Timed``, or by ``Ready`` if it is off."""

    is_on: bool


@dataclass(frozen=True, slots=True)
class Ready:
    """Nothing to report; the next message may come."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One evaluation per candidate, in the order asked, and the seconds of them that training and scoring took."""

    evaluations: tuple[Evaluation, ...]
    computing_seconds: float


@dataclass(frozen=True, slots=True)
class Timed:
    """Milliseconds of one candidate's training step in this process."""

    milliseconds: float


@dataclass(frozen=True, slots=True)
class Failed:
    """An exception, as text: the exception itself need not survive pickling.

    Attributes:
        cause: In one line.
        traceback: The whole of it.
        lacks_memory: Whether it says that memory ran out.
        invalid: Field, given and expected of an invalid input, which the user can mend.
    """

    cause: str
    traceback: str
    lacks_memory: bool
    invalid: tuple[str, str, str] | None

    @classmethod
    def of(cls, error: Exception) -> Failed:
        """Describe an exception that is being handled."""
        invalid = None
        if isinstance(error, InvalidInputError):
            invalid = (error.field, str(error.given), error.expected)
        name, text = type(error).__name__, str(error).partition("\n")[0]
        cause = f"{name}: {text}" if text else name
        return cls(cause, traceback.format_exc(), is_out_of_memory(error), invalid)

    def to_error(self) -> TransferMaskError:
        """Give what the parent raises in its place."""
        if self.lacks_memory:
            return ChunkOutOfMemoryError(self.cause)
        if self.invalid is not None:
            return InvalidInputError(*self.invalid)
        return WorkerFailedError(self.cause, self.traceback)


Request = Measure | TimePlan | Go
Answer = Ready | Measured | Timed | Failed


def main(connection: Connection) -> None:
    """Serve one parent until it closes the connection or ends."""
    threading.Thread(target=_end_with_parent, name="parent-watcher", daemon=True).start()
    faulthandler.enable(all_threads=False)
    _be_more_expendable()
    with suppress(EOFError):
        worker = _started(connection)
        while worker is not None:
            connection.send(worker.answer(connection.recv()))


def _started(connection: Connection) -> _Worker | None:
    """Take the task; None where it cannot be unpickled here, which the parent is told."""
    message = connection.recv_bytes()
    try:
        start: Start = pickle.loads(message)  # noqa: S301 - from the parent, see above
    except Exception as error:  # noqa: BLE001 - whatever the user's classes raise
        connection.send(Failed.of(error))
        return None
    connection.send(Ready())
    return _Worker(start, connection)


class _Abandoned(Exception):  # noqa: N818 - a signal between two parts, not an error
    """The timing is off."""


class _Worker:
    """One task, with an evaluator for each plan that was asked for."""

    def __init__(self, start: Start, connection: Connection) -> None:
        self._start, self._connection = start, connection
        self._evaluators: dict[tuple[Plan, bool], GraftEvaluator] = {}

    def answer(self, request: Request) -> Answer:
        """Do what is asked; whatever goes wrong is an answer too."""
        try:
            if isinstance(request, Measure):
                return self._measure(request)
            if isinstance(request, TimePlan):
                return self._time(request.plan)
            raise TypeError(f"{request} came without a TimePlan before it")
        except _Abandoned:
            return Ready()
        except Exception as error:  # noqa: BLE001 - the parent decides what becomes of it
            return Failed.of(error)

    def _measure(self, request: Measure) -> Measured:
        evaluator = self._evaluator(request.plan, keeps_artifacts=request.keeps_artifacts)
        torch.set_num_threads(request.plan.threads)
        before = evaluator.computing_seconds
        evaluations = evaluator.evaluate(request.candidates)
        return Measured(tuple(evaluations), evaluator.computing_seconds - before)

    def _evaluator(self, plan: Plan, *, keeps_artifacts: bool) -> GraftEvaluator:
        key = (plan, keeps_artifacts)
        if key not in self._evaluators:
            artifacts = self._start.artifacts
            self._evaluators[key] = (
                self._evaluator(plan, keeps_artifacts=False).keeping(artifacts)
                if keeps_artifacts and artifacts is not None
                else GraftEvaluator(self._start.task, plan, CPU)
            )
        return self._evaluators[key]

    def _time(self, plan: Plan) -> Timed:
        return Timed(step_milliseconds(plan, self._start.task, CPU, self._start_together))

    def _start_together(self) -> None:
        """Tell that this worker is warm, and wait until all are."""
        self._connection.send(Ready())
        go: Go = self._connection.recv()
        if not go.is_on:
            raise _Abandoned


def _end_with_parent() -> None:
    """End at once, in the middle of whatever is computed, as soon as the parent is gone.

    Standard input is a pipe whose other end only the parent holds: it ends when the parent does, even by SIGKILL.
    """
    while os.read(LIFELINE, 1024):
        continue
    os._exit(PARENT_GONE)


def _be_more_expendable() -> None:
    """Let the out-of-memory killer choose this process before its parent, which can go on without it."""
    path = Path("/proc/self/oom_score_adj")
    with suppress(OSError, ValueError):  # Linux only, and not in every container
        inherited = int(path.read_text(encoding="ascii"))
        path.write_text(str(min(MOST_EXPENDABLE, inherited + MORE_EXPENDABLE)), encoding="ascii")
