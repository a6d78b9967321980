"""Tests of the genetic algorithm beyond what every optimizer promises."""

from __future__ import annotations

import random

import pytest
from pydantic import ValidationError

from search.evaluation import Evaluation, Outcome
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


def test_the_first_generation_holds_the_masks_everybody_would_try() -> None:
    first = [candidate.genome for candidate in genetic(9).ask()]
    assert {keep_all(9), transfer_all(9), *prefixes(9)} <= set(first)
    assert len(first) == len(set(first)) == 24


def test_no_mask_is_proposed_twice_until_every_mask_has_been() -> None:
    optimizer = genetic(6, population_size=10)
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


def test_nothing_but_reevaluations_is_refused_with_both_numbers() -> None:
    with pytest.raises(
        ValidationError, match=r"reevaluations \(24\) must be fewer than population_size \(24\)"
    ):
        GeneticConfig(reevaluations=24)


def test_with_many_genes_prefixes_leave_budget_to_breed_with() -> None:
    first = Genetic(GeneticConfig(), SearchProblem(161, 40, 100), 0).ask()
    assert len(first) <= 2 + 100 // 4
    assert {keep_all(161), transfer_all(161)} <= {candidate.genome for candidate in first}
