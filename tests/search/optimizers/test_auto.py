"""Tests of the choice of an optimizer."""

from __future__ import annotations

import pytest

from search.optimizer import Optimizer, SearchProblem
from search.optimizers.auto import Auto, AutoConfig
from search.optimizers.exhaustive import Exhaustive
from search.optimizers.genetic import Genetic


@pytest.mark.parametrize(
    ("n_genes", "budget", "expected"),
    [(7, 128, Exhaustive), (7, 127, Genetic), (17, 200_000, Genetic), (161, 500, Genetic)],
)
def test_every_mask_is_measured_where_the_budget_and_the_limit_allow(
    n_genes: int, budget: int, expected: type[Optimizer]
) -> None:
    assert type(Auto(AutoConfig(), SearchProblem(n_genes, 40, budget), 0).chosen) is expected


def test_what_is_left_of_the_budget_measures_every_mask_again() -> None:
    optimizer = Auto(AutoConfig(), SearchProblem(3, 40, 200), 0)
    asked = []
    while batch := optimizer.ask():
        asked += batch
        optimizer.tell([])
    assert len({candidate.key for candidate in asked}) == len(asked) == 3 * 8
    assert {candidate.replicate for candidate in asked} == {0, 1, 2}
