"""Tests of measuring through the ledger."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from search.decisions import DecisionLog
from search.evaluation import Arm, Candidate, Evaluation
from search.genome import Genome
from search.ledger import DecisionRow, EvaluationRow, InMemoryLedger, Position, Row, canonical_json
from search.recorded import RecordedEvaluator, StopRequested
from tests.search.hidden_mask import HiddenMaskEvaluator

RECIPE = Arm()
HIDDEN = Genome.from_bitstring("0110")


def masks(*bitstrings: str, replicate: int = 0, arm: Arm = RECIPE) -> list[Candidate]:
    return [Candidate(Genome.from_bitstring(bits), 40, replicate, arm) for bits in bitstrings]


def recorded(
    ledger: InMemoryLedger, chunk_size: int = 2, evaluator: HiddenMaskEvaluator | None = None
) -> RecordedEvaluator:
    measures = evaluator or HiddenMaskEvaluator(HIDDEN)
    return RecordedEvaluator(measures, ledger, DecisionLog(ledger), chunk_size=chunk_size)


def positions(rows: Sequence[Row]) -> list[tuple[int, int]]:
    return [(row.position.batch, row.position.chunk) for row in rows]


def test_answers_come_in_the_order_asked_though_repeats_are_measured_once() -> None:
    evaluator = HiddenMaskEvaluator(HIDDEN)
    bench = recorded(InMemoryLedger(), evaluator=evaluator)
    asked = masks("0110", "1111", "0110", "0000")
    assert [e.candidate for e in bench.measure("search", asked)] == asked
    assert len(evaluator.measured) == 3


def test_a_later_batch_measures_only_what_is_new() -> None:
    evaluator = HiddenMaskEvaluator(HIDDEN)
    bench = recorded(InMemoryLedger(), evaluator=evaluator)
    bench.measure("search", masks("0110", "1111"))
    bench.measure("race", masks("1111", "0000"))
    assert [c.genome.bitstring for c in evaluator.measured] == ["0110", "1111", "0000"]


@pytest.mark.parametrize(
    ("mixes_replicates", "wanted"),
    [
        (False, {0: ["00", "10"], 1: ["01"], 2: ["11"]}),
        (True, {0: ["00", "01", "10"], 1: ["11"]}),
    ],
)
def test_a_chunk_holds_what_can_be_trained_together(
    mixes_replicates: bool, wanted: dict[int, list[str]]
) -> None:
    ledger = InMemoryLedger()
    mixed = [
        *masks("00"),
        *masks("01", replicate=1),
        *masks("10"),
        *masks("11", arm=Arm(0.1)),
    ]
    RecordedEvaluator(
        HiddenMaskEvaluator(Genome.from_bitstring("01")),
        ledger,
        DecisionLog(ledger),
        chunk_size=8,
        mixes_replicates=mixes_replicates,
    ).measure("search", mixed)
    chunks: dict[int, list[str]] = {}
    for row in ledger.rows():
        assert isinstance(row, EvaluationRow)
        chunks.setdefault(row.position.chunk, []).append(row.evaluation.candidate.genome.bitstring)
    assert chunks == wanted


@pytest.mark.parametrize("n_rows_kept", range(6))
def test_a_run_over_any_whole_prefix_of_its_ledger_ends_with_the_same_ledger(
    n_rows_kept: int,
) -> None:
    def run(ledger: InMemoryLedger) -> None:
        bench = recorded(ledger, chunk_size=1)
        bench.measure("search", masks("0000", "0001", "0010"))
        DecisionLog(ledger).decide(Position("race"), "choice", lambda: ({"best": 1}, {"took": 0.1}))
        bench.measure("race", masks("0001", "1111", "0100"))

    alone, resumed = InMemoryLedger(), InMemoryLedger()
    run(alone)
    resumed.append(alone.rows()[:n_rows_kept])
    run(resumed)
    assert canonical_json(resumed.rows()) == canonical_json(alone.rows())


def test_a_chunk_that_does_not_fit_is_halved_recorded_and_replayed() -> None:
    def run(ledger: InMemoryLedger, largest_chunk: int) -> list[Evaluation]:
        bench = recorded(ledger, 4, HiddenMaskEvaluator(HIDDEN, largest_chunk))
        return bench.measure("search", masks("0000", "0001", "0010", "0011", "0100"))

    ledger = InMemoryLedger()
    measured = run(ledger, largest_chunk=1)
    halvings = [row.value["chunk_size"] for row in ledger.rows() if isinstance(row, DecisionRow)]
    assert halvings == [2, 1]
    assert len(measured) == 5
    # On replay there is memory enough, yet the recorded size is obeyed.
    replayed = InMemoryLedger(ledger.rows()[:4])
    run(replayed, largest_chunk=100)
    assert canonical_json(replayed.rows()) == canonical_json(ledger.rows())


def test_a_stop_from_outside_is_a_row_that_replay_obeys_without_asking_again() -> None:
    ledger = InMemoryLedger()
    answers = iter([None, "time_budget"])
    with pytest.raises(StopRequested, match="time_budget"):
        recorded(ledger).measure(
            "search", masks("0000", "0001", "0010"), interrupt=lambda: next(answers)
        )
    assert positions(ledger.rows()) == [(0, 0), (0, 0), (0, 1)]
    before = canonical_json(ledger.rows())
    with pytest.raises(StopRequested, match="time_budget"):
        recorded(ledger).measure("search", masks("0000", "0001", "0010"), interrupt=lambda: None)
    assert canonical_json(ledger.rows()) == before


def test_the_clock_is_not_asked_where_the_ledger_shows_that_the_search_went_on() -> None:
    ledger = InMemoryLedger()
    recorded(ledger).measure("search", masks("0000", "0001", "0010"))
    evaluations = recorded(ledger).measure(
        "search", masks("0000", "0001", "0010"), interrupt=lambda: "time_budget"
    )
    assert len(evaluations) == 3


def test_asking_other_candidates_than_the_ledger_holds_is_marked_once_and_the_ledger_is_a_cache() -> (
    None
):
    ledger = InMemoryLedger()
    recorded(ledger).measure("search", masks("0000", "0001", "0010"))
    evaluator = HiddenMaskEvaluator(HIDDEN)
    bench = recorded(ledger, evaluator=evaluator)
    bench.measure("search", masks("1111", "0001", "1110"))
    names = [row.name for row in ledger.rows() if isinstance(row, DecisionRow)]
    assert names == ["left_the_ledger"]
    assert [c.genome.bitstring for c in evaluator.measured] == ["1111", "1110"]


def test_time_spent_before_a_restart_counts() -> None:
    ledger = InMemoryLedger()
    recorded(ledger).measure("search", masks("0000", "0001"))
    restarted = RecordedEvaluator(
        HiddenMaskEvaluator(HIDDEN), ledger, DecisionLog(ledger), chunk_size=2, clock=lambda: 7.0
    )
    assert restarted.elapsed_seconds == 1.0


def test_a_kill_while_leaving_the_ledger_behind_can_be_resumed_again_and_again() -> None:
    class Killed(HiddenMaskEvaluator):
        def evaluate(self, candidates: Sequence[Candidate]) -> list[Evaluation]:
            raise KeyboardInterrupt

    ledger = InMemoryLedger()
    recorded(ledger).measure("search", masks("0000", "0001", "0010"))
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            recorded(ledger, evaluator=Killed(HIDDEN)).measure("search", masks("1111", "1110"))
    recorded(ledger).measure("search", masks("1111", "1110"))
    marks = [row for row in ledger.rows() if isinstance(row, DecisionRow)]
    assert [row.name for row in marks] == ["left_the_ledger"]
