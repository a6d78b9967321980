"""Tests of Bayesian optimization, its ascent and its choice by samples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from search.evaluation import Candidate, Evaluation, Outcome
from search.genome import Genome
from search.observations import BoolArray, FloatArray, Observations
from search.optimizer import SearchProblem
from search.optimizers.bayesian import Bayesian, BayesianConfig
from search.proposing.acquisition import choose_by_samples
from search.proposing.ascent import ascend
from search.surrogate import Belief
from search.surrogates.gaussian_process import GaussianProcess, GaussianProcessConfig

N_GENES = 10
WEIGHTS = np.array([3, -2, 1.5, -1, 1, -1, 0.8, -0.8, 0.5, 0.5]) / 10


class KnownFit:
    """Believes in a linear function of the bits, equally unsure of everything."""

    noise = 0.1
    ruggedness = 0.0

    def expect(self, masks: BoolArray) -> FloatArray:
        mean: FloatArray = masks @ WEIGHTS
        return mean

    def believe(self, masks: BoolArray) -> Belief:
        return Belief(self.expect(masks), 0.01 * np.eye(len(masks)))


def bayesian(**options: object) -> Bayesian:
    config = BayesianConfig.model_validate(options)
    return Bayesian(config, SearchProblem(N_GENES, 40, 200), seed=0)


def measured(asked: list[Candidate], rng: np.random.Generator) -> list[Evaluation]:
    return [
        Evaluation(
            c,
            Outcome.MEASURED,
            float(np.array(c.genome.keeps) @ WEIGHTS + 0.1 * rng.normal()),
            0.0,
        )
        for c in asked
    ]


def test_an_ascent_ends_where_no_flip_gains_and_tells_the_surroundings() -> None:
    starts = np.random.default_rng(0).random((5, N_GENES)) < 0.5
    found = ascend(KnownFit(), starts, optimism=1.0)
    assert found[0].tolist() == (WEIGHTS > 0).tolist()
    # All ascents meet; then come the neighbours, the best first.
    assert len(found) == 1 + N_GENES
    values = found[1:] @ WEIGHTS
    assert np.all(np.diff(values) <= 0)
    assert {int((row ^ found[0]).sum()) for row in found[1:]} == {1}


def test_samples_choose_what_is_likely_best_and_never_twice() -> None:
    genomes = [
        Genome.from_bits(row) for row in np.random.default_rng(1).random((40, N_GENES)) < 0.5
    ]
    genomes = list(dict.fromkeys(genomes))
    best = max(genomes, key=lambda genome: float(np.array(genome.keeps) @ WEIGHTS))
    chosen = choose_by_samples(KnownFit(), genomes, 10, np.random.default_rng(2))
    assert best in chosen
    assert len(set(chosen)) == 10
    assert chosen == choose_by_samples(KnownFit(), genomes, 10, np.random.default_rng(2))
    assert len(choose_by_samples(KnownFit(), genomes[:3], 10, np.random.default_rng(2))) == 3


def test_samples_vary_as_the_surrogate_doubts() -> None:
    rng = np.random.default_rng(0)
    masks = rng.random((30, N_GENES)) < 0.5
    seen = Observations(measured([Candidate(Genome.from_bits(m), 40) for m in masks], rng))
    fit = GaussianProcess(GaussianProcessConfig(), seed=0).fit(seen)
    genomes = [Genome.from_bits(row) for row in rng.random((60, N_GENES)) < 0.5]
    firsts = {
        choose_by_samples(fit, genomes, 1, np.random.default_rng(seed))[0] for seed in range(20)
    }
    assert 1 < len(firsts) < 20


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"acquisition": "ucb"},
        {"acquisition": "knowledge_gradient"},
        {"acquisition": "thompson"},
        {"surrogate": {"kind": "random_forest", "trees": 10}},
    ],
    ids=["adaptive", "ucb", "knowledge_gradient", "thompson", "forest"],
)
def test_it_soon_asks_near_the_optimum(options: dict[str, object]) -> None:
    optimizer, rng = bayesian(**options), np.random.default_rng(0)
    for _ in range(4):
        asked = optimizer.ask()
        optimizer.tell(measured(asked, rng))
    at_random = 0.0 + WEIGHTS.sum() / 2
    mean = np.mean([np.array(c.genome.keeps) @ WEIGHTS for c in asked])
    assert mean > at_random + 0.6 * (WEIGHTS[WEIGHTS > 0].sum() - at_random)


def test_leaders_are_measured_again_at_new_replicates() -> None:
    optimizer, rng = bayesian(reevaluations=2), np.random.default_rng(0)
    optimizer.tell(measured(optimizer.ask(), rng))
    asked = optimizer.ask()
    assert [c.replicate for c in asked[:2]] == [1, 1]
    assert {c.replicate for c in asked[2:]} == {0}
    assert len(asked) == 16


def test_it_ends_when_every_mask_was_asked() -> None:
    optimizer = Bayesian(BayesianConfig(), SearchProblem(5, 40, 200), seed=0)
    rng, asked = np.random.default_rng(0), list[Candidate]()
    while batch := optimizer.ask():
        asked += batch
        optimizer.tell([Evaluation(c, Outcome.MEASURED, float(rng.normal()), 0.0) for c in batch])
    assert len({c.genome for c in asked}) == 32
    assert len({c.key for c in asked}) == len(asked)


def test_the_last_batch_measures_leaders_again() -> None:
    optimizer, rng = bayesian(), np.random.default_rng(3)
    asked: list[Candidate] = []
    while len(asked) < 200:
        batch = optimizer.ask()
        asked += batch
        # So much noise that nobody leads beyond doubt.
        optimizer.tell([replace(e, fitness=rng.normal()) for e in measured(batch, rng)])
    assert all(candidate.replicate > 0 for candidate in batch)


def test_a_budget_is_not_spent_on_few_large_batches() -> None:
    optimizer, rng = bayesian(batch_size=4096), np.random.default_rng(0)
    sizes = []
    for _ in range(3):
        asked = optimizer.ask()
        optimizer.tell(measured(asked, rng))
        sizes.append(len(asked))
    assert sizes == [24, 25, 25]
