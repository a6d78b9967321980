"""Claims, leases and endings."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from threading import Barrier

import pytest
from sqlalchemy import Engine

from search.errors import LeaseLostError
from search.ledger import DecisionRow, Position
from service.errors import IdempotencyKeyReusedError, ImpossibleTransitionError, NotFoundError
from service.problem import problem
from service.queue import Claim, JobQueue
from service.sql_ledger import SqlLedger
from service.states import JobState
from service.store import SearchStore
from tests.service.conftest import Enqueue

OWNER = "host:1:test"
CAUSE = problem(HTTPStatus.INTERNAL_SERVER_ERROR, "crashed", "exit code 70")


def status_of(store: SearchStore, job_id: str) -> str:
    return str(store.get(job_id)["status"])


def test_the_highest_priority_runs_first_and_among_equals_the_oldest(
    queue: JobQueue, enqueue: Enqueue
) -> None:
    ids = [enqueue(priority=priority) for priority in (0, 5, -5, 5)]
    claims = [queue.claim(OWNER) for _ in range(5)]
    order = [claim.job_id for claim in claims if claim is not None]
    assert order == [ids[1], ids[3], ids[0], ids[2]]
    assert claims[4] is None


def test_two_workers_never_claim_one_job(queue: JobQueue, enqueue: Enqueue) -> None:
    for _ in range(20):
        enqueue()
    start = Barrier(4)

    def claim_all(worker: int) -> list[str]:
        start.wait()
        claims = iter(lambda: queue.claim(f"host:{worker}:test"), None)
        return [claim.job_id for claim in claims]

    with ThreadPoolExecutor(4) as pool:
        claimed = [job_id for ids in pool.map(claim_all, range(4)) for job_id in ids]
    assert len(claimed) == len(set(claimed)) == 20


def test_a_job_with_a_living_lease_is_not_claimed(queue: JobQueue, claim: Claim) -> None:
    assert queue.heartbeat(claim) is JobState.RUNNING
    assert queue.claim(OWNER) is None


def test_an_expired_lease_is_claimed_by_anybody_with_a_greater_token(
    engine: Engine, enqueue: Enqueue
) -> None:
    enqueue()
    first = JobQueue(engine, lease_seconds=-1).claim(OWNER)
    second = JobQueue(engine, lease_seconds=60).claim("elsewhere:1:test")
    assert first is not None
    assert second is not None
    assert (second.job_id, second.fencing_token) == (first.job_id, first.fencing_token + 1)
    assert JobQueue(engine, 60).heartbeat(first) is None


def test_a_worker_that_lost_its_lease_can_write_nothing(
    queue: JobQueue, store: SearchStore, claim: Claim
) -> None:
    queue.free_jobs_of([OWNER])
    assert queue.claim("elsewhere:1:test") is not None
    writes: list[Callable[[], None]] = [
        lambda: queue.write_progress(claim, {"phase": "search"}),
        lambda: queue.succeed(claim, {"mask": "01"}, "exhausted"),
        lambda: queue.fail(claim, CAUSE),
        lambda: queue.release(claim),
    ]
    for write in writes:
        with pytest.raises(LeaseLostError):
            write()
    assert queue.record_death(claim, CAUSE) is None
    row = store.get(claim.job_id)
    assert (row["status"], row["progress"], row["result"]) == ("running", None, None)


def test_a_released_job_is_claimed_again_and_keeps_its_start(
    queue: JobQueue, store: SearchStore, claim: Claim
) -> None:
    started_at = store.get(claim.job_id)["started_at"]
    queue.release(claim)
    assert status_of(store, claim.job_id) == "queued"
    assert queue.claim(OWNER) is not None
    assert store.get(claim.job_id)["started_at"] == started_at


def test_three_deaths_without_a_new_row_fail_the_job(
    queue: JobQueue, store: SearchStore, claim: Claim
) -> None:
    second = queue.record_death(claim, CAUSE)
    assert second is not None
    third = queue.record_death(second, CAUSE)
    assert third is not None
    assert queue.record_death(third, CAUSE) is None
    row = store.get(claim.job_id)
    assert row["status"] == "failed"
    assert row["error"]["detail"] == "exit code 70"
    assert row["finished_at"] is not None


def test_a_new_row_forgives_the_deaths_before_it(
    engine: Engine, queue: JobQueue, store: SearchStore, claim: Claim
) -> None:
    current: Claim | None = claim
    for number in range(6):
        assert current is not None
        ledger = SqlLedger(engine, current.job_id, current.fencing_token)
        ledger.append([DecisionRow(Position("search", number), "plan", {})])
        current = queue.record_death(current, CAUSE)
    assert status_of(store, claim.job_id) == "running"


def test_a_waiting_job_is_cancelled_at_once(
    queue: JobQueue, store: SearchStore, enqueue: Enqueue
) -> None:
    row = store.cancel(enqueue())
    assert (row["status"], row["stop_reason"]) == ("cancelled", "cancelled")
    assert queue.claim(OWNER) is None


def test_a_running_job_is_cancelled_through_its_worker(
    queue: JobQueue, store: SearchStore, claim: Claim
) -> None:
    assert store.cancel(claim.job_id)["status"] == "cancelling"
    assert queue.heartbeat(claim) is JobState.CANCELLING
    with pytest.raises(LeaseLostError):
        queue.succeed(claim, {"mask": "01"}, "exhausted")
    queue.finish_cancel(claim)
    assert status_of(store, claim.job_id) == "cancelled"


def test_a_cancel_that_its_worker_did_not_survive_is_finished_by_another(
    queue: JobQueue, store: SearchStore, claim: Claim
) -> None:
    store.cancel(claim.job_id)
    queue.finish_abandoned_cancels()
    assert status_of(store, claim.job_id) == "cancelling"
    queue.free_jobs_of([OWNER])
    queue.finish_abandoned_cancels()
    assert status_of(store, claim.job_id) == "cancelled"


def test_a_finished_job_cannot_be_cancelled(
    queue: JobQueue, store: SearchStore, claim: Claim
) -> None:
    queue.succeed(claim, {"mask": "01"}, "exhausted")
    with pytest.raises(ImpossibleTransitionError, match="succeeded and cannot be cancelled"):
        store.cancel(claim.job_id)


def test_a_running_job_cannot_be_deleted(store: SearchStore, claim: Claim) -> None:
    with pytest.raises(ImpossibleTransitionError, match="running and cannot be deleted"):
        store.delete(claim.job_id)


def test_deleting_takes_the_ledger_along(
    engine: Engine, queue: JobQueue, store: SearchStore, claim: Claim
) -> None:
    ledger = SqlLedger(engine, claim.job_id, claim.fencing_token)
    ledger.append([DecisionRow(Position("search"), "plan", {})])
    queue.fail(claim, CAUSE)
    store.delete(claim.job_id)
    assert ledger.rows() == []
    with pytest.raises(NotFoundError, match=claim.job_id):
        store.get(claim.job_id)


def test_one_key_and_one_body_give_one_search(store: SearchStore, enqueue: Enqueue) -> None:
    first = enqueue(name="a", key="k")
    assert enqueue(name="a", key="k") == first
    with pytest.raises(IdempotencyKeyReusedError, match=f"'k' was used for search {first}"):
        enqueue(name="b", key="k")
    assert len(store.list(None, None, 10).rows) == 1


def test_one_key_sent_twice_at_once_gives_one_search(store: SearchStore, enqueue: Enqueue) -> None:
    with ThreadPoolExecutor(4) as pool:
        ids = set(pool.map(lambda _: enqueue(key="k"), range(8)))
    assert len(ids) == 1


def test_lists_are_cut_into_pages_newest_first(store: SearchStore, enqueue: Enqueue) -> None:
    ids = [enqueue() for _ in range(5)]
    first = store.list(None, None, 2)
    assert [row["id"] for row in first.rows] == ids[:2:-1]
    assert first.has_more
    last = store.list(None, ids[1], 2)
    assert [row["id"] for row in last.rows] == [ids[0]]
    assert not last.has_more
    assert store.list(JobState.RUNNING, None, 2).rows == []
