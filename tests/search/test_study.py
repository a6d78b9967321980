"""Tests of the search phase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import pytest

from search.decisions import DecisionLog
from search.evaluation import Arm, Candidate, Evaluation
from search.genome import Genome, keep_all
from search.ledger import InMemoryLedger, Row, canonical_json
from search.optimizer import SearchProblem
from search.optimizers import OPTIMIZERS, build_optimizer
from search.optimizers.genetic import GeneticConfig
from search.recorded import RecordedEvaluator
from search.study import MAX_IDLE_BATCHES, Study, StudyOutcome
from tests.search.hidden_mask import HiddenMaskEvaluator, hidden_mask

HIDDEN = hidden_mask(8)


class ScriptedOptimizer:
    """Asks what a script says, batch by batch; remembers what it was told."""

    def __init__(self, *batches: Sequence[Candidate]) -> None:
        self._batches = list(batches)
        self.told: list[list[Evaluation]] = []

    def ask(self) -> list[Candidate]:
        return list(self._batches.pop(0)) if self._batches else []

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        self.told.append(list(evaluations))


def all_masks(n_genes: int, fidelity: int = 40) -> list[Candidate]:
    return [
        Candidate(Genome.from_bitstring(f"{number:0{n_genes}b}"), fidelity)
        for number in range(2**n_genes)
    ]


def run(optimizer: ScriptedOptimizer, budget: int, n_genes: int = 3) -> StudyOutcome:
    ledger = InMemoryLedger()
    evaluator = HiddenMaskEvaluator(keep_all(n_genes))
    bench = RecordedEvaluator(evaluator, ledger, DecisionLog(ledger), chunk_size=4)
    return Study(optimizer, bench, SearchProblem(n_genes, 40, budget), Arm(0.001)).run()


def test_the_last_batch_is_cut_to_the_budget_and_told_as_far_as_it_was_measured() -> None:
    optimizer = ScriptedOptimizer(all_masks(3))
    outcome = run(optimizer, budget=5)
    assert outcome.stop_reason == "evaluation_budget"
    assert len(outcome.evaluations) == 5
    assert [e.candidate for e in optimizer.told[0]] == all_masks(3)[:5]


def test_the_outcome_tells_what_rungs_were_worth() -> None:
    class BackwardsBelowTheTop(HiddenMaskEvaluator):
        def evaluate(self, candidates: Sequence[Candidate]) -> list[Evaluation]:
            return [
                replace(e, fitness=-e.fitness) if e.candidate.fidelity < 20 and e.fitness else e
                for e in super().evaluate(candidates)
            ]

    options = {"population_size": 16, "first_batch": 16, "rungs": {"fractions": [0.2, 0.8]}}
    problem, ledger = SearchProblem(8, 40, 60), InMemoryLedger()
    optimizer = build_optimizer(GeneticConfig.model_validate(options), problem, 1)
    evaluator = BackwardsBelowTheTop(HIDDEN)
    bench = RecordedEvaluator(evaluator, ledger, DecisionLog(ledger), chunk_size=4)
    misleading, honest = Study(optimizer, bench, problem, Arm(0.001)).run().rungs
    assert (misleading.steps, misleading.is_used) == (8, False)
    assert (honest.steps, honest.is_used) == (32, True)
    assert misleading.correlation is not None
    assert misleading.correlation < 0
    assert (honest.correlation or 0) > 0.5


def test_answers_that_are_known_cost_no_budget() -> None:
    batch = all_masks(3)[:4]
    outcome = run(ScriptedOptimizer(batch, batch, all_masks(3)[4:6]), budget=7)
    assert outcome.stop_reason == "completed"
    assert len(outcome.evaluations) == 6


def test_a_shorter_fidelity_costs_its_share_of_the_budget() -> None:
    outcome = run(ScriptedOptimizer(all_masks(3, fidelity=10)), budget=2)
    assert len(outcome.evaluations) == 8


def test_an_optimizer_that_only_repeats_itself_ends_as_exhausted() -> None:
    batch = all_masks(3)[:2]
    outcome = run(ScriptedOptimizer(*[batch] * (MAX_IDLE_BATCHES + 5)), budget=100)
    assert outcome.stop_reason == "exhausted"
    assert len(outcome.evaluations) == 2


def search(name: str, ledger: InMemoryLedger) -> StudyOutcome:
    problem = SearchProblem(6, 40, 80)
    optimizer = OPTIMIZERS.plugin(name)(OPTIMIZERS.config(name).model_validate({}), problem, 5)  # type: ignore[call-arg]
    evaluator = HiddenMaskEvaluator(hidden_mask(6))
    bench = RecordedEvaluator(evaluator, ledger, DecisionLog(ledger), chunk_size=1)
    return Study(optimizer, bench, problem, Arm(0.001)).run()


@cache
def left_alone(name: str) -> tuple[StudyOutcome, list[Row]]:
    ledger = InMemoryLedger()
    return search(name, ledger), ledger.rows()


@pytest.mark.parametrize("name", ["genetic", "annealing", "random", "exhaustive"])
@pytest.mark.parametrize("n_rows_kept", [0, 7, 23, 40])
def test_a_search_resumed_from_any_point_ends_with_the_ledger_of_one_left_alone(
    name: str, n_rows_kept: int
) -> None:
    outcome, rows = left_alone(name)
    resumed = InMemoryLedger(rows[:n_rows_kept])
    assert search(name, resumed) == outcome
    assert canonical_json(resumed.rows()) == canonical_json(rows)


@pytest.mark.parametrize("n_chunks", range(1, 5))
def test_what_a_stopped_batch_had_measured_is_found_all_the_same(n_chunks: int) -> None:
    """Otherwise a search that runs out of time in its first generation would have no leaders."""
    ledger = InMemoryLedger()
    answers = iter([*[None] * n_chunks, "time_budget"])
    bench = RecordedEvaluator(
        HiddenMaskEvaluator(HIDDEN), ledger, DecisionLog(ledger), chunk_size=2
    )
    study = Study(
        ScriptedOptimizer(all_masks(8)[:20]),
        bench,
        SearchProblem(8, 40, 100),
        Arm(0.001),
        lambda: next(answers),
    )
    outcome = study.run()
    assert outcome.stop_reason == "time_budget"
    assert len(outcome.evaluations) == 2 * n_chunks
