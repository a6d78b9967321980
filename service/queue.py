"""The queue: claims, leases and endings of jobs.  Used by supervisors and by the jobs' children.

The table of searches *is* the queue.  Every step is one conditional UPDATE, so that any number of workers may
share a database.  Moments are the workers' own clocks: those of one database should agree within a second or two,
and a disagreement costs repeated work, never a second writer, because the fencing token decides who may write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Engine, and_, case, func, or_, select, update

from search.errors import LeaseLostError
from service.problem import Problem
from service.states import OWNED, JobState, sources_of
from service.tables import searches

MOST_DEATHS = 3


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that a worker owns until its lease expires.

    Attributes:
        job_id: The search.
        fencing_token: Goes with every write; an older one is refused.
        execution: The spec's execution options: where the child is to run.
    """

    job_id: str
    fencing_token: int
    execution: Mapping[str, Any]


class JobQueue:
    """Claims jobs and writes what becomes of them."""

    def __init__(self, engine: Engine, lease_seconds: float) -> None:
        """Bind a database whose schema is up to date."""
        self._engine = engine
        self._lease = timedelta(seconds=lease_seconds)

    def claim(self, owner: str) -> Claim | None:
        """Claim the first job that is queued or whose lease expired, or give None.

        Higher ``priority`` runs first; among equals the older.
        """
        now = datetime.now(UTC)
        is_free = or_(
            searches.c.status == JobState.QUEUED,
            and_(searches.c.status == JobState.RUNNING, searches.c.lease_expires_at < now),
        )
        first = (
            select(searches.c.number)
            .where(is_free)
            .order_by(searches.c.priority.desc(), searches.c.number)
            .limit(1)
            .scalar_subquery()
        )
        statement = (
            update(searches)
            # is_free again: where two claim at once, the second sees the first's change and gets nothing.
            .where(searches.c.number == first, is_free)
            .values(
                status=JobState.RUNNING,
                owner=owner,
                fencing_token=searches.c.fencing_token + 1,
                lease_expires_at=now + self._lease,
                started_at=func.coalesce(
                    searches.c.started_at, now, type_=searches.c.started_at.type
                ),
            )
            .returning(searches.c.id, searches.c.fencing_token, searches.c.spec)
        )
        with self._engine.begin() as connection:
            row = connection.execute(statement).one_or_none()
        return None if row is None else Claim(row.id, row.fencing_token, row.spec["execution"])

    def heartbeat(self, claim: Claim) -> JobState | None:
        """Prolong the lease; give the job's state, or None where the job is no longer ours."""
        statement = (
            update(searches)
            .where(self._is_owned(claim))
            .values(lease_expires_at=datetime.now(UTC) + self._lease)
            .returning(searches.c.status)
        )
        with self._engine.begin() as connection:
            status = connection.execute(statement).scalar_one_or_none()
        return None if status is None else JobState(status)

    def write_progress(self, claim: Claim, progress: Mapping[str, Any]) -> None:
        """Replace the progress that users see.

        Raises:
            LeaseLostError: The job is no longer ours.
        """
        self._write(claim, searches.c.status.in_(OWNED), {"progress": dict(progress)})

    def succeed(self, claim: Claim, result: Mapping[str, Any], stop_reason: str) -> None:
        """Finish the job with its result.

        Raises:
            LeaseLostError: The job is no longer ours, or is being cancelled.
        """
        self._finish(claim, JobState.SUCCEEDED, result=dict(result), stop_reason=stop_reason)

    def fail(self, claim: Claim, error: Problem) -> None:
        """Finish the job with what went wrong.

        Raises:
            LeaseLostError: The job is no longer ours, or is being cancelled.
        """
        self._finish(claim, JobState.FAILED, error=error.model_dump(mode="json"))

    def finish_cancel(self, claim: Claim) -> None:
        """Finish a job that was being cancelled and whose child has ended.

        Raises:
            LeaseLostError: The job is no longer ours, or nobody asked to cancel it.
        """
        self._finish(claim, JobState.CANCELLED, stop_reason=JobState.CANCELLED.value)

    def release(self, claim: Claim) -> None:
        """Put a running job back into the queue, because its worker shuts down.

        Raises:
            LeaseLostError: The job is no longer ours, or is being cancelled.
        """
        self._write(
            claim,
            searches.c.status.in_(sources_of(JobState.QUEUED)),
            {"status": JobState.QUEUED, "owner": None, "lease_expires_at": None},
        )

    def record_death(self, claim: Claim, cause: Problem) -> Claim | None:
        """Count a death of the job's child; three without a new ledger row fail the job with ``cause``.

        Returns:
            A fresh claim, with a new token, to start the child again; None where the job has failed, was
            finished by the child before it died, is being cancelled, or is no longer ours.
        """
        deaths = case(
            (searches.c.n_rows > searches.c.n_rows_at_death, 1), else_=searches.c.deaths + 1
        )
        fails = deaths >= MOST_DEATHS
        now = datetime.now(UTC)
        statement = (
            update(searches)
            .where(self._is_owned(claim), searches.c.status == JobState.RUNNING)
            .values(
                deaths=deaths,
                n_rows_at_death=searches.c.n_rows,
                fencing_token=searches.c.fencing_token + 1,
                lease_expires_at=now + self._lease,
                status=case((fails, JobState.FAILED.value), else_=searches.c.status),
            )
            .returning(searches.c.fencing_token, searches.c.status)
        )
        with self._engine.begin() as connection:
            row = connection.execute(statement).one_or_none()
            if row is None:
                return None
            if row.status == JobState.FAILED:
                ending = {"error": cause.model_dump(mode="json"), "finished_at": now}
                connection.execute(
                    update(searches).where(searches.c.id == claim.job_id).values(ending)
                )
                return None
        return Claim(claim.job_id, row.fencing_token, claim.execution)

    def free_jobs_of(self, owners: Sequence[str]) -> None:
        """Expire the leases of workers that are known to be dead, so that nobody need wait for them."""
        statement = (
            update(searches)
            .where(searches.c.owner.in_(owners), searches.c.status.in_(OWNED))
            .values(lease_expires_at=datetime.now(UTC) - self._lease)
        )
        with self._engine.begin() as connection:
            connection.execute(statement)

    def finish_abandoned_cancels(self) -> None:
        """Finish jobs that were being cancelled when their worker died; its child died with it."""
        now = datetime.now(UTC)
        statement = (
            update(searches)
            .where(searches.c.status == JobState.CANCELLING, searches.c.lease_expires_at < now)
            .values(
                status=JobState.CANCELLED,
                stop_reason=JobState.CANCELLED.value,
                finished_at=now,
                fencing_token=searches.c.fencing_token + 1,
            )
        )
        with self._engine.begin() as connection:
            connection.execute(statement)

    def owners(self) -> list[str]:
        """Every worker that holds a lease, whether it lives or not."""
        query = select(searches.c.owner).where(searches.c.status.in_(OWNED)).distinct()
        with self._engine.connect() as connection:
            return [owner for owner in connection.execute(query).scalars() if owner is not None]

    def _finish(self, claim: Claim, state: JobState, **values: object) -> None:
        ending = {"status": state, "finished_at": datetime.now(UTC)} | values
        self._write(claim, searches.c.status.in_(sources_of(state)), ending)

    def _write(
        self, claim: Claim, condition: ColumnElement[bool], values: Mapping[str, Any]
    ) -> None:
        statement = update(searches).where(self._is_owned(claim), condition).values(values)
        with self._engine.begin() as connection:
            if connection.execute(statement).rowcount != 1:
                raise LeaseLostError(
                    f"{claim.job_id} was claimed by another worker, cancelled or has ended; "
                    f"fencing token {claim.fencing_token} may no longer write"
                )

    @staticmethod
    def _is_owned(claim: Claim) -> ColumnElement[bool]:
        return and_(
            searches.c.id == claim.job_id,
            searches.c.fencing_token == claim.fencing_token,
            searches.c.status.in_(OWNED),
        )
