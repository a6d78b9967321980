"""Tests of successive halving inside a generation."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import ValidationError

from search.evaluation import Candidate, Evaluation, Outcome
from search.genome import Genome
from search.optimizer import SearchProblem
from search.optimizers import build_optimizer
from search.optimizers.genetic import Genetic, GeneticConfig
from search.proposing.rungs import RungOptions, RungScreen
from tests.search.hidden_mask import hidden_mask

N_GENES, TOP, SIZE = 12, 30, 18
HIDDEN = hidden_mask(N_GENES)


def screen(**options: object) -> RungScreen:
    config = GeneticConfig.model_validate(
        {
            "population_size": SIZE,
            "first_batch": SIZE,
            "reevaluations": 2,
            "rungs": {"fractions": [0, 1 / 3], **options},
        }
    )
    optimizer = build_optimizer(config, SearchProblem(N_GENES, TOP, 400), seed=1)
    assert isinstance(optimizer, RungScreen)
    return optimizer


def honest(candidate: Candidate) -> float:
    return candidate.genome.agreement(HIDDEN) + 0.001 * candidate.fidelity


def backwards_when_cheap(candidate: Candidate) -> float:
    score = candidate.genome.agreement(HIDDEN)
    return score if candidate.fidelity == TOP else -score


def climb(optimizer: RungScreen, score: Callable[[Candidate], float]) -> list[list[Candidate]]:
    """One generation: what was asked at every rung."""
    asked: list[list[Candidate]] = []
    while not asked or asked[-1][-1].fidelity != TOP:
        asked.append(optimizer.ask())
        optimizer.tell([Evaluation(c, Outcome.MEASURED, score(c), 0.0) for c in asked[-1]])
    return asked


def test_the_first_batch_is_measured_at_every_rung() -> None:
    asked = climb(screen(), honest)
    assert [(len(rung), rung[0].fidelity) for rung in asked] == [(SIZE, 0), (SIZE, 10), (SIZE, TOP)]
    assert len({tuple(c.genome for c in rung) for rung in asked}) == 1


def test_later_generations_are_thinned_and_the_best_go_on() -> None:
    optimizer = screen()
    climb(optimizer, honest)
    lowest, middle, top = climb(optimizer, honest)
    new = SIZE - 2
    assert [len(lowest), len(middle)] == [new, 6]
    by_score = sorted((honest(c) for c in lowest), reverse=True)
    assert sorted((c.genome.agreement(HIDDEN) for c in middle), reverse=True) == by_score[:6]
    again = [c for c in top if c.replicate > 0]
    assert (len(again), len(top)) == (2, 4), "leaders measured again skip the rungs"


def test_a_rung_that_misleads_is_switched_off() -> None:
    optimizer = screen()
    climb(optimizer, backwards_when_cheap)
    assert all(value < -0.9 for value in optimizer.correlations().values())
    (only,) = climb(optimizer, backwards_when_cheap)
    assert len(only) == SIZE


def test_one_rung_may_mislead_and_another_not() -> None:
    def score(candidate: Candidate) -> float:
        return backwards_when_cheap(candidate) if candidate.fidelity == 0 else honest(candidate)

    optimizer = screen()
    climb(optimizer, score)
    assert [rung[0].fidelity for rung in climb(optimizer, score)] == [10, TOP]


def test_a_flat_rung_is_switched_off() -> None:
    optimizer = screen()
    climb(optimizer, lambda c: 0.1 if c.fidelity == 0 else honest(c))
    assert optimizer.correlations()[0] == 0.0
    assert {c.fidelity for rung in climb(optimizer, honest) for c in rung} == {10, TOP}


def test_the_optimizer_hears_of_the_top_alone() -> None:
    heard: list[Evaluation] = []

    class Listening(Genetic):
        def tell(self, evaluations: object) -> None:
            assert isinstance(evaluations, list)
            heard.extend(evaluations)
            super().tell(evaluations)

    problem = SearchProblem(N_GENES, TOP, 400)
    inner = Listening(GeneticConfig(population_size=SIZE), problem, 1)
    optimizer = RungScreen(inner, RungOptions(), problem)
    for _ in range(3):
        climb(optimizer, honest)
    assert {e.candidate.fidelity for e in heard} == {TOP}


def test_a_generation_that_failed_at_the_top_calibrates_nothing() -> None:
    optimizer = screen()
    for _ in range(3):
        asked = optimizer.ask()
        optimizer.tell([Evaluation(c, Outcome.DIVERGED, None, 0.0) for c in asked])
    assert len(climb(optimizer, honest)) == 3
    assert optimizer.correlations().keys() == {0, 10}


@pytest.mark.parametrize("fractions", [[0.5, 0.2], [0.0, 1.0], [-0.1], [0.2, 0.2], []])
def test_fractions_that_do_not_rise_below_one_are_refused(fractions: list[float]) -> None:
    with pytest.raises(ValidationError, match="fractions"):
        RungOptions.model_validate({"fractions": fractions})


def test_rungs_that_fall_together_are_one() -> None:
    assert RungOptions(fractions=(0.0, 0.1, 0.4)).fidelities(3) == [0, 1]
    assert RungOptions(fractions=(0.5,)).fidelities(0) == []
    assert Genome.from_bitstring("01").n_genes == 2
