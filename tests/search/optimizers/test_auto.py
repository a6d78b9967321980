"""Tests of the choice of an optimizer."""

from __future__ import annotations

import numpy as np
import pytest

from search.evaluation import Candidate, Evaluation, Outcome
from search.optimizer import Optimizer, SearchProblem
from search.optimizers.auto import MOST_REPLICATES, Auto, AutoConfig
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


def searched(noise: float) -> list[Candidate]:
    """All that is asked of a landscape of three genes in which 110 is the best, and 111 is close."""
    weights, rng = np.array([0.3, 0.2, -0.02]), np.random.default_rng(0)
    optimizer, asked = Auto(AutoConfig(), SearchProblem(3, 40, 200), 0), list[Candidate]()
    while batch := optimizer.ask():
        asked += batch
        told = []
        for candidate in batch:
            fitness = float(weights @ candidate.genome.keeps + noise * rng.standard_normal())
            told.append(Evaluation(candidate, Outcome.MEASURED, fitness, 0.0))
        optimizer.tell(told)
    return asked


def test_what_is_left_of_the_budget_measures_again_what_may_be_the_best() -> None:
    asked = searched(noise=0.05)
    assert len({candidate.key for candidate in asked}) == len(asked) > 8
    again = {candidate.genome.bitstring for candidate in asked if candidate.replicate > 0}
    assert "110" in again
    assert "000" not in again
    assert max(candidate.replicate for candidate in asked) < MOST_REPLICATES


def test_the_more_noise_the_more_is_measured_again() -> None:
    calm, noisy = (len(searched(noise)) for noise in (0.0, 0.3))
    assert 8 <= calm < noisy <= MOST_REPLICATES * 8


def test_where_everything_failed_nothing_is_measured_again() -> None:
    optimizer = Auto(AutoConfig(), SearchProblem(3, 40, 200), 0)
    asked = optimizer.ask()
    optimizer.tell([Evaluation(c, Outcome.DIVERGED, None, 0.0) for c in asked])
    assert optimizer.ask() == []
