"""The known optimum is the optimum."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from benchmarks.search_quality.problems import FAMILIES, draw_problem


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("n_genes", [3, 4, 10])
def test_dynamic_programming_finds_what_enumeration_finds(family: str, n_genes: int) -> None:
    masks = np.array(list(itertools.product((False, True), repeat=n_genes)))
    for seed in range(5):
        problem = draw_problem(family, n_genes, seed)
        assert problem.optimum == pytest.approx(problem.values(masks).max())


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_seed_draws_the_same_problem(family: str) -> None:
    masks = np.random.default_rng(0).random((8, 12)) < 0.5
    one, same, other = (draw_problem(family, 12, seed).values(masks) for seed in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()
