"""Effects of genes and pairs: recovered from noisy evaluations, within their intervals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from search.effects import Effects, estimate_effects
from search.evaluation import Arm, Candidate, Evaluation, Outcome
from search.genome import Genome
from search.observations import FloatArray

N_GENES, STEPS = 8, 40
Landscape = tuple[FloatArray, FloatArray]


def landscape(seed: int, n_pairs: int = 0) -> Landscape:
    """Swing of every gene ``(G,)`` and interactions ``(G, G)``, upper triangle."""
    rng = np.random.default_rng(seed)
    pairs = np.zeros((N_GENES, N_GENES))
    rows, columns = np.triu_indices(N_GENES, 1)
    for index in rng.choice(len(rows), size=n_pairs, replace=False):
        pairs[rows[index], columns[index]] = rng.choice([-1, 1]) * 0.3
    return rng.normal(size=N_GENES) * 0.1, pairs


def evaluations(truth: Landscape, noise: float, seed: int, count: int = 120) -> list[Evaluation]:
    swings, pairs = truth
    rng = np.random.default_rng([seed, 1])
    measured = []
    for number in range(count):
        mask = rng.random(N_GENES) < 0.5
        spins = np.where(mask, 1.0, -1.0)
        fitness = spins @ swings / 2 + spins @ pairs @ spins / 4 + rng.normal() * noise
        candidate = Candidate(Genome.from_bits(mask), STEPS, number % 2)
        measured.append(Evaluation(candidate, Outcome.MEASURED, float(fitness), 0.0))
    return measured


def estimated(truth: Landscape, noise: float, seed: int) -> Effects:
    return estimate_effects(evaluations(truth, noise, seed))


def test_effects_of_an_additive_landscape_are_recovered() -> None:
    truth = landscape(seed=0)
    effects = estimated(truth, noise=0.02, seed=0)
    means = [interval.mean for interval in effects.genes]
    assert means == pytest.approx(truth[0].tolist(), abs=0.02)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    held, widths = [], []
    for seed in range(40):
        truth = landscape(seed)
        for interval, swing in zip(
            estimated(truth, noise=0.1, seed=seed).genes, truth[0], strict=True
        ):
            assert interval.low is not None
            assert interval.high is not None
            held.append(interval.low <= swing <= interval.high)
            widths.append(interval.high - interval.low)
    assert 0.91 <= np.mean(held) <= 0.98
    # Twice 1.96 standard errors of a difference between halves of 120 evaluations.
    assert np.mean(widths) < 4 * 1.96 * 0.1 / np.sqrt(120) * 1.2


def test_pairs_that_act_together_are_found_with_their_sign() -> None:
    for seed in range(3):
        truth = landscape(seed, n_pairs=2)
        found = {pair.genes: pair.effect for pair in estimated(truth, 0.1, seed).pairs[:2]}
        rows, columns = np.nonzero(truth[1])
        assert set(found) == set(zip(rows.tolist(), columns.tolist(), strict=True))
        for genes, effect in found.items():
            assert effect.low is not None
            assert effect.high is not None
            # Shrunk towards zero, as two strong ones among many weak are, and yet clear of it.
            nearest = effect.low if truth[1][genes] > 0 else -effect.high
            assert 0 < nearest < abs(truth[1][genes])


def test_no_effects_are_claimed_without_a_model() -> None:
    truth = landscape(seed=0)
    some = evaluations(truth, noise=0.1, seed=0)
    flat = [Evaluation(e.candidate, e.outcome, 0.5, 0.0) for e in some]
    failed = [Evaluation(e.candidate, Outcome.DIVERGED, None, 0.0) for e in some]
    for told in ([], some[:7], flat, failed):
        assert estimate_effects(told) == Effects()


def test_evaluations_of_another_arm_do_not_count() -> None:
    some = evaluations(landscape(seed=0), noise=0.1, seed=0)
    others = [
        Evaluation(replace(e.candidate, arm=Arm(0.1)), e.outcome, -5.0, 0.0) for e in some[:30]
    ]
    assert estimate_effects([*others, *some]) == estimate_effects(some)


def test_a_single_gene_has_an_effect_and_no_pairs() -> None:
    told = [
        Evaluation(
            Candidate(Genome((bool(number % 2),)), STEPS, number // 2),
            Outcome.MEASURED,
            0.2 * (number % 2) + 0.01 * (number // 2 % 3),
            0.0,
        )
        for number in range(16)
    ]
    effects = estimate_effects(told)
    assert len(effects.genes) == 1
    assert effects.genes[0].mean == pytest.approx(0.2, abs=0.05)
    assert effects.pairs == ()
