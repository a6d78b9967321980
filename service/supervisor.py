"""Claims jobs, keeps one child process per job alive, and ends it when nobody wants it any more."""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from search.errors import InvalidInputError, LeaseLostError
from service.deaths import cannot_start, cause_of_death
from service.executor import EXECUTION, Child
from service.problem import problem_of_inputs
from service.queue import Claim, JobQueue
from service.settings import Settings
from service.states import JobState

logger = logging.getLogger(__name__)

StartChild = Callable[[Claim], Child]


@dataclass
class _Attempt:
    """One child and what is known about its job."""

    claim: Claim
    child: Child
    heartbeat_due: float
    state: JobState | None = JobState.RUNNING
    kill_due: float | None = None


class Supervisor:
    """A thread that works the queue.

    All it knows is in the database: whatever happens to this process, another one, or its own successor, claims the
    job when the lease has expired and starts the child again, which replays the ledger and goes on.
    """

    def __init__(
        self, queue: JobQueue, settings: Settings, start_child: StartChild | None = None
    ) -> None:
        """Bind the queue; ``start_child`` replaces the execution backends in tests."""
        self._queue, self._settings = queue, settings
        self._start_child = start_child or (lambda claim: start_child_of(claim, settings))
        self._owner = owner_name()
        self._attempts: list[_Attempt] = []
        self._is_stopping = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._work, name="supervisor", daemon=True)

    @property
    def is_alive(self) -> bool:
        """True while the thread works the queue."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Look now, at the queue and for cancels, instead of at the next poll and heartbeat."""
        self._wake.set()

    def stop(self) -> None:
        """End the children, put their jobs back into the queue, and return when that is done."""
        self._is_stopping = True
        self.wake()
        self._thread.join()

    def _work(self) -> None:
        try:
            self._free_jobs_of_the_dead()
            while not self._is_stopping:
                is_woken = self._wake.wait(self._settings.poll_seconds)
                self._wake.clear()
                self._step(is_woken)
        finally:
            self._end_children()

    def _step(self, is_woken: bool) -> None:
        """Look once at every child and at the queue; a database that is away for a moment is asked again."""
        try:
            for attempt in list(self._attempts):
                self._tend(attempt, is_woken)
            self._queue.finish_abandoned_cancels()
            while len(self._attempts) < self._settings.max_concurrent_jobs:
                claim = self._queue.claim(self._owner)
                if claim is None:
                    break
                self._launch(claim)
        except SQLAlchemyError:
            logger.exception("the database did not answer; trying again")

    def _free_jobs_of_the_dead(self) -> None:
        with suppress(SQLAlchemyError):
            dead = [owner for owner in self._queue.owners() if is_dead(owner, self._owner)]
            if dead:
                self._queue.free_jobs_of(dead)

    def _launch(self, claim: Claim) -> None:
        logger.info("starting %s, fencing token %d", claim.job_id, claim.fencing_token)
        try:
            child = self._start_child(claim)
        except OSError as error:
            logger.exception("cannot start %s", claim.job_id)
            again = self._queue.record_death(claim, cannot_start(error))
            if again is not None:
                self._give_back(again)
        except InvalidInputError as error:
            # The spec was fine when it came: a plug-in has left since.
            with suppress(LeaseLostError):
                self._queue.fail(claim, problem_of_inputs([error]))
        else:
            due = time.monotonic() + self._settings.heartbeat_seconds
            self._attempts.append(_Attempt(claim, child, due))

    def _tend(self, attempt: _Attempt, is_woken: bool) -> None:
        status = attempt.child.exit_status()
        if status is not None:
            self._bury(attempt, status)
            return
        now = time.monotonic()
        if attempt.kill_due is not None and now >= attempt.kill_due:
            attempt.child.kill()
        is_due = is_woken or now >= attempt.heartbeat_due
        if attempt.state is not None and is_due:
            attempt.heartbeat_due = now + self._settings.heartbeat_seconds
            attempt.state = self._queue.heartbeat(attempt.claim)
            if attempt.state is None:
                logger.info("%s has ended or is another worker's", attempt.claim.job_id)
                attempt.child.kill()
            elif attempt.state is JobState.CANCELLING and attempt.kill_due is None:
                self._ask_to_end(attempt)

    def _ask_to_end(self, attempt: _Attempt) -> None:
        attempt.child.ask_to_end()
        attempt.kill_due = time.monotonic() + self._settings.kill_grace_seconds

    def _bury(self, attempt: _Attempt, status: int) -> None:
        """Decide what becomes of a job whose child has ended."""
        again = None
        if attempt.state is JobState.RUNNING:
            cause = cause_of_death(status, attempt.child.last_words())
            again = self._queue.record_death(attempt.claim, cause)
        if again is None and attempt.state is not None:
            with suppress(LeaseLostError):  # it has finished, or failed for good
                self._queue.finish_cancel(attempt.claim)
        self._attempts.remove(attempt)
        if again is not None:
            logger.warning("%s died with status %d; starting it again", again.job_id, status)
            self._launch(again)

    def _end_children(self) -> None:
        for attempt in self._attempts:
            self._ask_to_end(attempt)
        deadline = time.monotonic() + self._settings.kill_grace_seconds
        for attempt in self._attempts:
            while attempt.child.exit_status() is None:
                if time.monotonic() >= deadline:
                    attempt.child.kill()
                time.sleep(0.02)
            with suppress(SQLAlchemyError):
                self._give_back(attempt.claim)
        self._attempts.clear()

    def _give_back(self, claim: Claim) -> None:
        try:
            self._queue.release(claim)
        except LeaseLostError:
            with suppress(LeaseLostError):
                self._queue.finish_cancel(claim)


def start_child_of(claim: Claim, settings: Settings) -> Child:
    """Start the child where the spec's ``execution`` says.

    Raises:
        OSError: It cannot be started.
        InvalidInputError: No such backend is registered, or its options have changed.
    """
    kind = str(claim.execution["kind"])
    try:
        config = EXECUTION.config(kind).model_validate(claim.execution)
    except ValidationError as error:
        raise InvalidInputError("execution", dict(claim.execution), str(error)) from error
    return EXECUTION.plugin(kind)(config, settings).start(claim)


def owner_name() -> str:
    """Name this worker: host, process, and a nonce that tells it from an earlier process of that number."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def is_dead(owner: str, own_name: str) -> bool:
    """Tell whether a worker is certainly dead; False where that cannot be seen from here.

    A wrong guess (two containers that share a host name) costs a repeated chunk: the fencing token still decides
    who may write.
    """
    host, process, _ = owner.rsplit(":", 2)
    own_host, own_process, _ = own_name.rsplit(":", 2)
    if host != own_host or owner == own_name:
        return False
    if process == own_process:
        return True
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
