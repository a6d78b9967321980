"""One attempt at a job: from its row to its result, or to what is wrong with it."""

from __future__ import annotations

import logging
import time

from pydantic import ValidationError
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from search.errors import InvalidInputError
from service.pipeline import run_search
from service.problem import problem_of_inputs
from service.queue import Claim, JobQueue
from service.result import Progress
from service.settings import Settings
from service.spec import SearchSpec
from service.spec_problems import problem_of_spec
from service.sql_ledger import SqlLedger
from service.store import SearchStore

logger = logging.getLogger(__name__)

PROGRESS_SECONDS = 0.5


class ProgressWriter:
    """Writes progress where users see it: at most twice a second, and every new phase."""

    def __init__(self, queue: JobQueue, claim: Claim) -> None:
        """Bind the job."""
        self._queue, self._claim = queue, claim
        self._last: Progress | None = None
        self._is_written = True
        self._next = 0.0

    def __call__(self, progress: Progress) -> None:
        """Take one report.

        Raises:
            LeaseLostError: The job is another worker's now.
        """
        is_new_phase = self._last is None or self._last.phase != progress.phase
        self._last, self._is_written = progress, False
        if is_new_phase or time.monotonic() >= self._next:
            self.flush()

    def flush(self) -> None:
        """Write the last report, if it is not written yet; a busy database is no reason to stop a search."""
        if self._last is None or self._is_written:
            return
        try:
            self._queue.write_progress(self._claim, self._last.model_dump(mode="json"))
        except OperationalError:
            logger.warning("progress could not be written", exc_info=True)
        self._is_written = True
        self._next = time.monotonic() + PROGRESS_SECONDS


def attempt_job(engine: Engine, claim: Claim, settings: Settings) -> None:
    """Run the search of a claimed job and write what came of it.

    Raises:
        LeaseLostError: The job is another worker's now, or is being cancelled.
    """
    queue = JobQueue(engine, settings.lease_seconds)
    progress = ProgressWriter(queue, claim)
    folder = settings.job_dir(claim.job_id)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        spec = SearchSpec.model_validate(SearchStore(engine).get(claim.job_id)["spec"])
    except ValidationError as error:
        # It was valid when it came: the software has been upgraded since.
        queue.fail(claim, problem_of_spec(error))
        return
    try:
        result = run_search(
            spec,
            ledger=SqlLedger(engine, claim.job_id, claim.fencing_token),
            folder=folder,
            surroundings=settings.surroundings,
            listener=progress,
        )
    except InvalidInputError as error:
        queue.fail(claim, problem_of_inputs([error]))
    else:
        progress.flush()
        queue.succeed(claim, result.model_dump(mode="json"), result.stop_reason)
