"""Tests of the Gaussian process beyond what every surrogate promises."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from scipy.optimize import check_grad

from search.evaluation import Candidate, Evaluation, Outcome
from search.genome import Genome
from search.observations import BoolArray, FloatArray, Observations
from search.proposing.acquisition import choose_batch
from search.surrogates.gaussian_process import (
    GaussianProcess,
    GaussianProcessConfig,
    GaussianProcessFit,
    Likelihood,
    _Data,
)

N_GENES = 7


def spins(masks: BoolArray) -> FloatArray:
    return np.where(masks, 1.0, -1.0)


def observed(
    count: int, noise: float, seed: int, pair: float = 1.5, n_replicates: int = 1
) -> tuple[Observations, FloatArray]:
    """A landscape of single effects and one pair, genes 2 and 5; its single effects."""
    rng = np.random.default_rng(seed)
    effects = rng.normal(size=N_GENES)
    masks = rng.random((count, N_GENES)) < 0.5
    values = spins(masks) @ effects + pair * spins(masks)[:, 2] * spins(masks)[:, 5]
    return Observations(
        Evaluation(
            Candidate(Genome.from_bits(mask), 40, index % n_replicates),
            Outcome.MEASURED,
            float(value + noise * rng.normal()),
            0.0,
        )
        for index, (mask, value) in enumerate(zip(masks, values, strict=True))
    ), effects


def fitted(observations: Observations) -> GaussianProcessFit:
    return GaussianProcess(GaussianProcessConfig(), 0).fit(observations)


def test_noise_is_told_from_effects() -> None:
    observations, _ = observed(200, noise=0.6, seed=1)
    assert fitted(observations).noise == pytest.approx(0.6, rel=0.25)


def test_what_masks_have_of_their_own_is_told_from_genes_and_from_noise() -> None:
    rng = np.random.default_rng(11)
    smooth, _ = observed(200, noise=0.6, seed=1)
    own = dict(zip(smooth.genomes, 2.0 * rng.normal(size=len(smooth.genomes)), strict=True))
    rugged = Observations(
        Evaluation(
            Candidate(genome, 40), Outcome.MEASURED, value + own[genome] + 0.6 * rng.normal(), 0.0
        )
        for genome, value in smooth.means().items()
        for _ in range(2)
    )
    assert fitted(smooth).ruggedness < 0.1
    assert 0.2 < fitted(rugged).ruggedness < 0.8


def test_effects_of_genes_are_recovered() -> None:
    observations, effects = observed(200, noise=0.3, seed=2)
    belief = fitted(observations).believe_genes()
    np.testing.assert_allclose(belief.mean, effects, atol=4 * belief.deviation.max())
    assert belief.deviation.max() < 0.1


def test_the_pair_is_found() -> None:
    observations, _ = observed(200, noise=0.3, seed=3)
    pairs = fitted(observations).pair_effects()
    assert pairs[2, 5] == pairs[5, 2] == np.abs(pairs).max()
    assert pairs[2, 5] == pytest.approx(1.5, abs=0.2)


def test_effects_add_up_to_beliefs_about_masks() -> None:
    observations, _ = observed(60, noise=0.3, seed=4)
    fit = fitted(observations)
    assert "mask" in fit.shares, "repeated masks among 60 of 128"
    unseen = np.array(list(np.ndindex(*(2,) * N_GENES)), dtype=bool)
    seen = {mask.tobytes() for mask in observations.masks}
    # What a measured mask has of its own is no effect of genes and pairs.
    first, second = [mask for mask in unseen if mask.tobytes() not in seen][:2]
    rows, columns = np.triu_indices(N_GENES, 1)
    pairs = fit.believe_pairs(rows, columns).mean
    expected = [
        float(spins(mask) @ fit.believe_genes().mean)
        + float((spins(mask)[rows] * spins(mask)[columns]) @ pairs)
        for mask in (first, second)
    ]
    belief = fit.believe(np.array([first, second]))
    assert expected[0] - expected[1] == pytest.approx(belief.mean[0] - belief.mean[1])
    np.testing.assert_allclose(fit.pair_effects()[rows, columns], pairs)


def test_the_gradient_of_the_likelihood_is_right() -> None:
    observations, _ = observed(40, noise=0.5, seed=5, n_replicates=2)
    data = _Data.of(observations)
    cost = Likelihood(data)
    point = np.full(len(data.kernels), -1.0)
    assert check_grad(lambda p: cost(p)[0], lambda p: cost(p)[1], point) < 1e-3


def test_beliefs_do_not_depend_on_the_number_of_threads() -> None:
    program = (
        "import numpy as np; from tests.search.surrogates.test_gaussian_process import observed, fitted;"
        "o, _ = observed(150, 0.5, 6);"
        "print(fitted(o).believe(np.eye(7, dtype=bool)).mean.tobytes().hex())"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2", "4")
    }
    assert len(texts) == 1


def test_a_batch_does_not_ask_the_same_thing_twice() -> None:
    observations, _ = observed(20, noise=0.3, seed=7)
    fit = fitted(observations)
    masks = [Genome.from_bits(bits) for bits in np.ndindex(*(2,) * N_GENES)]
    optimistic = choose_batch(fit, masks, 8, optimism=3.0)
    belief = fit.believe(np.array([genome.keeps for genome in masks], dtype=bool))
    best = np.argsort(-(belief.mean + 3.0 * belief.deviation))[:8]
    assert optimistic[0] == masks[best[0]]
    assert set(optimistic) != {masks[index] for index in best}
