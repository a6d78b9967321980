"""Tests of choosing by the knowledge gradient, and of who gets a search's last batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import norm

from search.genome import Genome
from search.observations import BoolArray, FloatArray
from search.proposing.acquisition import choose_batch, choose_next
from search.proposing.contest import last_contest
from search.proposing.knowledge import (
    choose_by_knowledge,
    choose_repeatedly,
    knowledge_gradient,
)
from search.surrogate import Belief

GENOMES = [Genome.from_bitstring(f"{row:02b}") for row in range(4)]


@dataclass
class Believes:
    """Says of each of the four masks what it is told to, in the order of ``GENOMES``."""

    mean: list[float]
    variance: list[float]
    noise: float = 0.3
    ruggedness: float = 1.0

    def expect(self, masks: BoolArray) -> FloatArray:
        means: FloatArray = np.array(self.mean)[masks @ np.array([2, 1])]
        return means

    def believe(self, masks: BoolArray) -> Belief:
        rows = masks @ np.array([2, 1])
        return Belief(self.expect(masks), np.diag(np.array(self.variance)[rows]))


def closed_form(mean: FloatArray, variance: FloatArray, noise: float) -> FloatArray:
    """Frazier, Powell and Dayanik, for independent beliefs: s f(-|m - best other| / s), f(z) = z Phi(z) + phi(z)."""
    spread = variance / np.sqrt(variance + noise)
    best_other = np.array([np.delete(mean, place).max() for place in range(len(mean))])
    behind = -np.abs(mean - best_other) / spread
    worth: FloatArray = spread * (behind * norm.cdf(behind) + norm.pdf(behind))
    return worth


def test_the_knowledge_gradient_of_independent_masks_is_the_closed_form() -> None:
    mean, variance = np.array([0.7, 0.65, 0.5, 0.3]), np.array([0.01, 0.02, 0.04, 0.04])
    found = knowledge_gradient(mean, np.diag(variance), 0.02)
    assert found == pytest.approx(closed_form(mean, variance, 0.02), rel=0.03, abs=1e-5)
    assert np.argsort(found).tolist() == np.argsort(closed_form(mean, variance, 0.02)).tolist()


def test_the_knowledge_gradient_of_related_masks_is_what_simulation_says() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(5, 5)) / 10
    covariance, mean, noise = root @ root.T, rng.normal(size=5) / 20, 0.01
    for place in range(5):
        changes = covariance[:, place] / np.sqrt(covariance[place, place] + noise)
        surprises = rng.standard_normal(200_000)
        simulated = (mean + surprises[:, None] * changes).max(axis=1).mean() - mean.max()
        found = knowledge_gradient(mean, covariance, noise)[place]
        assert found == pytest.approx(simulated, rel=0.03, abs=1e-4)


def test_what_is_known_or_drowned_in_noise_is_not_worth_a_measurement() -> None:
    mean = np.array([0.5, 0.45])
    sure = knowledge_gradient(mean, np.diag([0.0, 0.0]), 0.01)
    assert sure == pytest.approx([0, 0])
    quiet, loud = (knowledge_gradient(mean, np.diag([0.01, 0.01]), noise) for noise in (0.01, 10.0))
    assert np.all(quiet > 10 * loud)


def test_a_batch_holds_different_masks_unless_they_may_repeat() -> None:
    fit = Believes(mean=[0.5, 0.5, 0.1, 0.1], variance=[0.04, 0.01, 0.01, 0.0])
    assert sorted(choose_by_knowledge(fit, GENOMES, 4), key=str) == sorted(GENOMES, key=str)
    assert len(choose_by_knowledge(fit, GENOMES, 9)) == 4
    repeated = choose_repeatedly(fit, GENOMES, 9)
    assert len(repeated) == 9
    # What may be best is measured again, what cannot be is not.
    assert repeated.count(GENOMES[0]) > 1
    assert GENOMES[3] not in repeated


def test_the_landscape_decides_how_the_next_masks_are_chosen() -> None:
    # A hopeless mask of which nothing is known tempts the upper bound alone.
    mean, variance = [0.9, 0.88, 0.3, 0.2], [0.01, 0.01, 0.0, 0.04]
    smooth, rugged = (Believes(mean, variance, 0.3, ruggedness) for ruggedness in (0.05, 0.4))
    assert choose_next(smooth, GENOMES, 1, 10.0) == choose_batch(smooth, GENOMES, 1, 10.0)
    assert choose_next(rugged, GENOMES, 2, 10.0) == choose_by_knowledge(rugged, GENOMES, 2)
    assert set(choose_next(rugged, GENOMES, 2, 10.0)) == {GENOMES[0], GENOMES[1]}
    assert GENOMES[3] in choose_next(smooth, GENOMES, 2, 10.0)


def test_the_last_batch_is_for_those_that_may_be_best() -> None:
    near = Believes(mean=[0.7, 0.69, 0.2, 0.1], variance=[0.01, 0.01, 0.01, 0.01])
    assert set(last_contest(near, GENOMES, 6)) == {GENOMES[0], GENOMES[1]}
    clear = Believes(mean=[0.9, 0.3, 0.2, 0.1], variance=[0.001] * 4)
    assert last_contest(clear, GENOMES, 6) == []
