"""Measuring in several processes on the CPU: every process trains its share of the candidates as one chunk."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import wait
from types import TracebackType
from typing import Self

from models.evaluator import Task
from models.final_artifacts import FinalArtifacts
from models.plans.plan import Plan
from models.workers.process import WorkerProcess
from models.workers.task_pickle import UnpicklableError, pickled_start
from models.workers.worker import Answer, Failed, Go, Measure, Measured, Request, Timed, TimePlan
from search.errors import ChunkOutOfMemoryError, UnsharableTaskError, WorkerDiedError, WorkerError
from search.evaluation import Candidate, Evaluation, Outcome

logger = logging.getLogger(__name__)


class WorkerPool:
    """Some worker processes that all have the same task.

    After the death of one all are ended, and started again when they are next needed: they share the machine's memory,
    and a request that is half answered is lost.  Not thread safe.  A context manager that closes itself.
    """

    def __init__(
        self, task: Task, processes: int, *, threads: int, artifacts: FinalArtifacts | None = None
    ) -> None:
        """Start the workers and wait until all have read the task.

        Args:
            task: What to measure.
            processes: Number of workers.
            threads: What each is started for; a plan may ask for others.
            artifacts: Where final evaluations leave their files.

        Raises:
            UnsharableTaskError: The task cannot be sent to another process.
            WorkerError: A worker could not be started, or ended before it was ready.
        """
        self._task, self._processes, self._threads = task, processes, threads
        self._artifacts = artifacts
        self._workers: list[WorkerProcess] = []
        self._is_closed = False
        # What a target makes once and keeps on disk is made here, not by all workers at the same time.
        task.target(0)
        self._started()

    @property
    def processes(self) -> int:
        """Number of workers."""
        return self._processes

    @property
    def process_ids(self) -> tuple[int, ...]:
        """Numbers of the processes that there are at the moment."""
        return tuple(worker.process_id for worker in self._workers)

    def measure(
        self, plan: Plan, shares: Sequence[Sequence[Candidate]], *, keeps_artifacts: bool = False
    ) -> list[Measured]:
        """Measure one chunk per worker, all at the same time.

        Args:
            plan: Of each chunk, for one process.
            shares: At most as many as there are workers; none is empty.
            keeps_artifacts: Whether the workers write the files of a final.

        Returns:
            What came of each share, in order.

        Raises:
            ChunkOutOfMemoryError: The shares did not fit into memory together; a worker that was killed counts as that.
            WorkerFailedError: A worker raised an exception.
            WorkerDiedError: A worker ended.
        """
        requests = [Measure(plan, tuple(share), keeps_artifacts) for share in shares]
        answers = self._ask(self._started(), requests)
        _raise_failures(answers)
        return [answer for answer in answers if isinstance(answer, Measured)]

    def time_plan(self, plan: Plan) -> float:
        """Time a plan for one process on all workers at the same time.

        Returns:
            Milliseconds per training step of one candidate, of the whole pool: what the slowest worker needs, divided
            by the number of workers.

        Raises:
            ChunkOutOfMemoryError: The chunks did not fit into memory together.
            WorkerFailedError: The plan cannot compute this task; the cause is the message's first line.
            WorkerDiedError: A worker ended.
        """
        workers = self._started()
        answers = self._ask(workers, [TimePlan(plan)] * len(workers))
        warm = [
            worker
            for worker, answer in zip(workers, answers, strict=True)
            if not isinstance(answer, Failed)
        ]
        is_on = len(warm) == len(workers)
        timings = self._ask(warm, [Go(is_on)] * len(warm))
        _raise_failures([*answers, *timings])
        slowest = max(answer.milliseconds for answer in timings if isinstance(answer, Timed))
        return slowest / len(workers)

    def close(self) -> None:
        """End all workers and wait for their end; the pool cannot be used afterwards."""
        self._is_closed = True
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _started(self) -> list[WorkerProcess]:
        """All workers; where there are none, or one has died since it was last asked, new ones."""
        if self._is_closed:
            raise ValueError("the worker pool is closed")
        if not all(worker.is_running for worker in self._workers):
            logger.warning("a worker process ended while it had nothing to do; starting all again")
            self._end()
        if not self._workers:
            self._start()
        return self._workers

    def _start(self) -> None:
        try:
            message = pickled_start(self._task, self._artifacts)
        except UnpicklableError as error:
            raise UnsharableTaskError(self._processes, str(error)) from error
        try:
            for _ in range(self._processes):
                self._workers.append(_new_worker(self._threads))
            for worker in self._workers:
                worker.send_bytes(message)
            answers = _gather(self._workers)
            for answer in answers:
                if isinstance(answer, Failed) and not answer.lacks_memory:
                    raise UnsharableTaskError(self._processes, answer.cause)
            _raise_failures(answers)
        except BaseException:
            self._end()
            raise

    def _ask(self, workers: list[WorkerProcess], requests: Sequence[Request]) -> list[Answer]:
        """Send one request each to the first workers; give their answers in the same order."""
        asked = workers[: len(requests)]
        try:
            for worker, request in zip(asked, requests, strict=True):
                worker.send(request)
            return _gather(asked)
        except WorkerDiedError as error:
            self._end()
            if error.was_killed:
                raise ChunkOutOfMemoryError(
                    "a worker process was killed, most likely because memory had run out"
                ) from error
            raise
        except BaseException:
            # Answers are under way that the next call would take for its own.
            self._end()
            raise

    def _end(self) -> None:
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.end()


class PooledEvaluator:
    """Cuts what it is asked for into one share per worker; results as from ``GraftEvaluator`` share by share.

    Attributes:
        computing_seconds: Spent so far on training chunks and applying them, by the slowest worker of each call.
    """

    def __init__(self, pool: WorkerPool, plan: Plan, *, keeps_artifacts: bool = False) -> None:
        """Bind a pool, which others may use too and whoever made it closes.

        Args:
            pool: Has ``plan.processes`` workers.
            plan: How to compute.
            keeps_artifacts: Whether candidates are scored on the test part too, and what a final keeps is written.
        """
        self._pool, self._plan, self._keeps_artifacts = pool, plan, keeps_artifacts
        self._plan_of_one = plan.model_copy(update={"processes": 1})
        self.computing_seconds = 0.0

    def keeping_artifacts(self) -> PooledEvaluator:
        """The same over the same processes, for a final."""
        return PooledEvaluator(self._pool, self._plan, keeps_artifacts=True)

    def evaluate(self, candidates: Sequence[Candidate]) -> list[Evaluation]:
        """Measure one chunk per worker.

        Raises:
            ChunkOutOfMemoryError: Several candidates did not fit into memory together, in whichever processes.
            WorkerFailedError: A worker raised an exception.
            WorkerDiedError: A worker ended.
        """
        started = time.perf_counter()
        try:
            evaluations = self._evaluate(candidates)
        except ChunkOutOfMemoryError:
            if len(candidates) > 1:
                raise
            evaluations = [Evaluation(candidates[0], Outcome.OUT_OF_MEMORY, None, 0.0)]
        outcomes = {evaluation.outcome for evaluation in evaluations}
        if len(candidates) > 1 and Outcome.OUT_OF_MEMORY in outcomes:
            # It had a process for itself, but not the machine: it may fit when it is alone.
            raise ChunkOutOfMemoryError(f"{len(candidates)} candidates in several processes")
        seconds = (time.perf_counter() - started) / len(candidates)
        return [replace(evaluation, duration_seconds=seconds) for evaluation in evaluations]

    def _evaluate(self, candidates: Sequence[Candidate]) -> list[Evaluation]:
        measured = self._pool.measure(
            self._plan_of_one,
            equal_shares(candidates, self._plan.processes),
            keeps_artifacts=self._keeps_artifacts,
        )
        self.computing_seconds += max(share.computing_seconds for share in measured)
        return [evaluation for share in measured for evaluation in share.evaluations]


def equal_shares(candidates: Sequence[Candidate], processes: int) -> list[Sequence[Candidate]]:
    """Cut candidates, in order, into at most so many shares whose sizes differ by 1 at most, larger ones first."""
    size, n_larger = divmod(len(candidates), processes)
    shares, start = [], 0
    for index in range(min(processes, len(candidates))):
        end = start + size + (index < n_larger)
        shares.append(candidates[start:end])
        start = end
    return shares


def _new_worker(threads: int) -> WorkerProcess:
    try:
        return WorkerProcess(threads)
    except OSError as error:
        raise WorkerError(
            f"a worker process cannot be started: {error}; fewer plan.processes need less"
        ) from error


def _gather(workers: Sequence[WorkerProcess]) -> list[Answer]:
    """One answer of each worker, in their order; a death is noticed whichever comes first."""
    waiting = {id(worker.connection): worker for worker in workers}
    answers: dict[int, Answer] = {}
    while waiting:
        for connection in wait([worker.connection for worker in waiting.values()]):
            worker = waiting.pop(id(connection))
            answers[worker.process_id] = worker.receive()
    return [answers[worker.process_id] for worker in workers]


def _raise_failures(answers: Sequence[Answer]) -> None:
    """Raise what the workers raised, a lack of memory first: it may have caused the rest."""
    failures = [answer for answer in answers if isinstance(answer, Failed)]
    for failure in sorted(failures, key=lambda failure: not failure.lacks_memory):
        raise failure.to_error()
