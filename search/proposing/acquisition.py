"""Which of many masks to measure next, by what a surrogate believes of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from search.genome import Genome
from search.observations import FloatArray, masks_of
from search.proposing.knowledge import choose_by_knowledge
from search.proposing.one_by_one import choose_one_by_one
from search.surrogate import Fit

# Where more than this of the variance between masks is each mask's own, an upper confidence bound is blind: every new
# mask is as unknown as any other.  There it counts how much one measurement would tell.
RUGGED = 0.15


def choose_next(fit: Fit, genomes: Sequence[Genome], count: int, optimism: float) -> list[Genome]:
    """Choose by the knowledge gradient on a rugged landscape, by an upper confidence bound on a smooth one.

    Args:
        fit: Fitted surrogate; says how rugged the landscape is.
        genomes: Different masks to choose from, M of them.
        count: Number of masks to choose, at most M.
        optimism: For the upper confidence bound, see ``choose_batch``.
    """
    if fit.ruggedness > RUGGED:
        return choose_by_knowledge(fit, genomes, count)
    return choose_batch(fit, genomes, count, optimism)


def choose_batch(fit: Fit, genomes: Sequence[Genome], count: int, optimism: float) -> list[Genome]:
    """Choose masks one after another by mean + optimism x deviation, an upper confidence bound.

    Args:
        fit: Fitted surrogate.
        genomes: Different masks to choose from, M of them.
        count: Number of masks to choose, at most M.
        optimism: Standard deviations that an unknown mask is given credit for.
    """

    def upper_bound(mean: FloatArray, covariance: FloatArray, _: float) -> FloatArray:
        bound: FloatArray = mean + optimism * np.sqrt(np.maximum(np.diagonal(covariance), 0.0))
        return bound

    return choose_one_by_one(fit, genomes, count, upper_bound)


def choose_by_samples(
    fit: Fit, genomes: Sequence[Genome], count: int, rng: np.random.Generator
) -> list[Genome]:
    """Choose each mask as the best one of a sample of what the surrogate thinks possible (Thompson sampling).

    Reference: Kandasamy et al., "Parallelised Bayesian Optimisation via Thompson Sampling", AISTATS 2018.

    Args:
        fit: Fitted surrogate.
        genomes: Different masks to choose from, M of them.
        count: Number of masks to choose, at most M.
        rng: Draws the samples.
    """
    belief = fit.believe(masks_of(genomes))
    root = _root(belief.covariance)
    is_left = np.ones(len(genomes), dtype=np.bool_)
    chosen: list[Genome] = []
    for _ in range(min(count, len(genomes))):
        # Summed by numpy itself: BLAS would round differently with another number of threads.
        sample = belief.mean + (root * rng.standard_normal(len(root))).sum(axis=1)
        best = int(np.argmax(np.where(is_left, sample, -np.inf)))
        is_left[best] = False
        chosen.append(genomes[best])
    return chosen


def _root(covariance: FloatArray) -> FloatArray:
    """Cholesky factor of a covariance that may be singular, ``(M, M)``: rounding below zero counts as zero."""
    rest, root = covariance.copy(), np.zeros_like(covariance)
    smallest = 1e-10 * float(np.diagonal(covariance).max(initial=0.0))
    for column in range(len(rest)):
        if rest[column, column] > smallest:
            root[:, column] = rest[:, column] / np.sqrt(rest[column, column])
            rest -= np.outer(root[:, column], root[:, column])
    return root
