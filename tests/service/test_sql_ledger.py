"""The ledger in SQL: the shared suite, and what that cannot know."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from search.errors import LeaseLostError, LedgerError
from search.evaluation import Arm, Candidate, Evaluation, Outcome
from search.genome import Genome
from search.ledger import DecisionRow, EvaluationRow, Position, Row, canonical_json
from service.queue import Claim, JobQueue
from service.sql_ledger import SqlLedger
from service.store import SearchStore
from tests.search.ledger_suite import LedgerSuite


def evaluation_row(
    mask: str, fitness: float | None = 0.1 + 0.2, replicate: int = 0
) -> EvaluationRow:
    candidate = Candidate(Genome.from_bitstring(mask), 40, replicate, Arm(0.1 + 0.2))
    outcome = Outcome.DIVERGED if fitness is None else Outcome.MEASURED
    evaluation = Evaluation(candidate, outcome, fitness, 1 / 3, None if fitness is None else 2 / 3)
    return EvaluationRow(Position("search", 1, 2), evaluation)


def decision_row(name: str = "plan") -> DecisionRow:
    return DecisionRow(Position("preparing"), name, {"rates": [0.1, 1e-300], "x": None}, {"s": 0.7})


@pytest.fixture
def ledger(engine: Engine, claim: Claim) -> SqlLedger:
    return SqlLedger(engine, claim.job_id, claim.fencing_token)


class TestSqlLedger(LedgerSuite):
    """What every ledger promises."""

    @pytest.fixture(autouse=True)
    def _claim_a_job(self, engine: Engine, claim: Claim) -> None:
        self._engine, self._claim = engine, claim

    def open_ledger(self) -> SqlLedger:
        return SqlLedger(self._engine, self._claim.job_id, self._claim.fencing_token)


def test_rows_come_back_exactly_and_in_the_order_written(ledger: SqlLedger) -> None:
    rows: list[Row] = [
        decision_row(),
        evaluation_row("01"),
        evaluation_row("10", None),
        decision_row("stop"),
    ]
    ledger.append(rows[:1])
    ledger.append(rows[1:])
    assert ledger.rows() == rows
    assert canonical_json(ledger.rows()) == canonical_json(rows)


def test_a_chunk_with_a_key_that_stands_already_is_refused_whole(ledger: SqlLedger) -> None:
    ledger.append([evaluation_row("01")])
    with pytest.raises(LedgerError, match="stands in the ledger"):
        ledger.append([evaluation_row("11"), evaluation_row("01", fitness=0.9)])
    assert ledger.rows() == [evaluation_row("01")]
    ledger.append([evaluation_row("11")])
    assert len(ledger.rows()) == 2


def test_another_replicate_of_a_mask_is_another_key(ledger: SqlLedger) -> None:
    ledger.append([evaluation_row("01"), evaluation_row("01", replicate=1)])
    assert len(ledger.rows()) == 2


def test_a_decision_is_unique_at_its_position(ledger: SqlLedger) -> None:
    ledger.append([decision_row()])
    with pytest.raises(LedgerError, match="stands in the ledger"):
        ledger.append([decision_row()])


def test_a_writer_whose_job_was_claimed_again_is_refused(
    engine: Engine, queue: JobQueue, ledger: SqlLedger, claim: Claim
) -> None:
    ledger.append([evaluation_row("01")])
    queue.free_jobs_of(["host:1:test"])
    second = queue.claim("host:2:test")
    assert second is not None
    assert second.fencing_token > claim.fencing_token
    with pytest.raises(LeaseLostError, match="another worker"):
        ledger.append([evaluation_row("10")])
    successor = SqlLedger(engine, second.job_id, second.fencing_token)
    successor.append([evaluation_row("10")])
    assert successor.rows() == [evaluation_row("01"), evaluation_row("10")]


def test_nothing_is_written_after_the_end(
    queue: JobQueue, store: SearchStore, ledger: SqlLedger, claim: Claim
) -> None:
    store.cancel(claim.job_id)
    queue.finish_cancel(claim)
    with pytest.raises(LeaseLostError):
        ledger.append([evaluation_row("01")])


def test_jobs_do_not_see_each_others_rows(
    engine: Engine, queue: JobQueue, store: SearchStore, ledger: SqlLedger
) -> None:
    ledger.append([evaluation_row("01")])
    store.create({"execution": {"kind": "local"}}, name="", priority=0)
    other = queue.claim("host:1:test")
    assert other is not None
    other_ledger = SqlLedger(engine, other.job_id, other.fencing_token)
    other_ledger.append([evaluation_row("01")])
    assert len(other_ledger.rows()) == 1


def test_appending_nothing_writes_nothing(ledger: SqlLedger) -> None:
    ledger.append([])
    assert ledger.rows() == []
