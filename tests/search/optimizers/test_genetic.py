"""Tests of the genetic algorithm beyond what every optimizer promises."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest
from pydantic import ValidationError

from search.evaluation import Candidate, Evaluation, Outcome
from search.genome import Genome, keep_all, prefixes, transfer_all
from search.optimizer import SearchProblem
from search.optimizers.genetic import Genetic, GeneticConfig


def genetic(n_genes: int, seed: int = 0, **options: object) -> Genetic:
    config = GeneticConfig.model_validate({"kind": "genetic", **options})
    return Genetic(config, SearchProblem(n_genes, 40, 400), seed)


def agree_with(hidden: Genome, optimizer: Genetic) -> list[Genome]:
    asked = optimizer.ask()
    optimizer.tell(
        [Evaluation(c, Outcome.MEASURED, c.genome.agreement(hidden), 0.0) for c in asked]
    )
    return [candidate.genome for candidate in asked]


def test_the_first_batch_holds_the_masks_everybody_would_try() -> None:
    first = [candidate.genome for candidate in genetic(9).ask()]
    assert {keep_all(9), transfer_all(9), *prefixes(9)} <= set(first)
    assert len(first) == len(set(first)) == 24


def test_a_small_budget_is_not_spent_on_few_large_generations() -> None:
    optimizer = Genetic(GeneticConfig(), SearchProblem(30, 40, 50), 0)
    sizes = [len(agree_with(keep_all(30), optimizer)) for _ in range(3)]
    assert sizes == [12, 6, 6]


def test_with_much_curiosity_every_mask_has_its_turn_before_the_search_ends() -> None:
    optimizer = genetic(5, population_size=10, reevaluations=0, optimism=100, final_optimism=100)
    proposed: list[Candidate] = []
    while asked := optimizer.ask():
        optimizer.tell(
            [Evaluation(c, Outcome.MEASURED, c.genome.agreement(keep_all(5)), 0.0) for c in asked]
        )
        proposed += asked
    assert len(proposed) == len(set(proposed))
    assert len({candidate.genome for candidate in proposed}) == 2**5


def test_leaders_compete_for_another_measurement_at_a_new_replicate() -> None:
    optimizer = genetic(6, population_size=10, optimism=0, final_optimism=0)
    proposed: list[Candidate] = []
    for _ in range(6):
        asked = optimizer.ask()
        optimizer.tell(
            [Evaluation(c, Outcome.MEASURED, c.genome.agreement(keep_all(6)), 0.0) for c in asked]
        )
        proposed += asked
    assert len(proposed) == len(set(proposed))
    again = [candidate for candidate in proposed if candidate.genome == keep_all(6)]
    assert [candidate.replicate for candidate in again] == list(range(len(again)))
    assert len(again) > 1


def test_without_a_model_no_mask_is_proposed_twice() -> None:
    optimizer = genetic(6, population_size=10, reevaluations=0, surrogate=None)
    proposed: list[Genome] = []
    while generation := agree_with(keep_all(6), optimizer):
        proposed += generation
    assert len(proposed) == len(set(proposed)) == 2**6


def test_deap_draws_do_not_move_the_callers_random_stream() -> None:
    random.seed(4)
    expected = random.Random(4).random()
    optimizer = genetic(8)
    agree_with(keep_all(8), optimizer)
    agree_with(keep_all(8), optimizer)
    assert random.random() == expected


def test_curiosity_falls_as_the_budget_is_spent() -> None:
    rng = np.random.default_rng(0)

    def share_measured_again(final_optimism: float) -> float:
        optimizer = genetic(8, optimism=4.0, final_optimism=final_optimism)
        asked: list[Candidate] = []
        while len(asked) < 400:
            batch = optimizer.ask()
            noisy = [c.genome.agreement(keep_all(8)) + 0.2 * rng.standard_normal() for c in batch]
            optimizer.tell(
                [
                    Evaluation(c, Outcome.MEASURED, fitness, 0.0)
                    for c, fitness in zip(batch, noisy, strict=True)
                ]
            )
            asked += batch
        last = asked[300:400]
        return sum(candidate.replicate > 0 for candidate in last) / len(last)

    assert share_measured_again(0.0) > share_measured_again(4.0)


def test_the_last_generation_measures_leaders_again() -> None:
    optimizer, rng = genetic(8), np.random.default_rng(3)
    asked: list[Candidate] = []
    while len(asked) < 400:
        batch = optimizer.ask()
        asked += batch
        # So much noise that nobody leads beyond doubt.
        optimizer.tell([Evaluation(c, Outcome.MEASURED, rng.normal(), 0.0) for c in batch])
    assert all(candidate.replicate > 0 for candidate in batch)


def test_nothing_but_reevaluations_is_refused_with_both_numbers() -> None:
    with pytest.raises(
        ValidationError, match=r"reevaluations \(16\) must be fewer than population_size \(16\)"
    ):
        GeneticConfig(reevaluations=16)


def test_with_many_genes_structured_masks_leave_room_for_random_ones() -> None:
    first = Genetic(GeneticConfig(), SearchProblem(161, 40, 100), 0).ask()
    pure = {keep_all(161), transfer_all(161)}
    assert pure <= {candidate.genome for candidate in first}
    n_structured = sum(
        len(set(pairwise(c.genome.keeps)) - {(True, True), (False, False)}) <= 1 for c in first
    )
    assert n_structured <= len(first) / 2 + 2


def test_leaders_are_measured_again_at_their_next_replicate() -> None:
    optimizer = genetic(10, reevaluations=2)
    hidden = Genome.from_bitstring("0110100101")
    first = agree_with(hidden, optimizer)
    again = [c for c in optimizer.ask() if c.replicate == 1]
    assert len(again) == 2
    assert {c.genome for c in again} <= set(first)


def test_screening_measures_what_the_surrogate_expects_most_of() -> None:
    hidden = Genome.from_bitstring("0110100101" * 2)

    def mean_of_later_generations(**options: object) -> float:
        optimizer = genetic(20, seed=3, reevaluations=0, **options)
        agree_with(hidden, optimizer)
        later = [mask for _ in range(2) for mask in agree_with(hidden, optimizer)]
        return float(np.mean([mask.agreement(hidden) for mask in later]))

    assert mean_of_later_generations() > mean_of_later_generations(surrogate=None) + 0.1


def test_mutation_widens_while_nothing_better_comes_and_narrows_again() -> None:
    optimizer = genetic(20, surrogate=None)
    rates = []
    for score in (0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.9, 0.95):
        asked = optimizer.ask()
        optimizer.tell([Evaluation(c, Outcome.MEASURED, score, 0.0) for c in asked])
        rates.append(optimizer._mutation_rate())
    assert max(rates) == pytest.approx(4 / 20)
    assert rates[-1] < max(rates)
