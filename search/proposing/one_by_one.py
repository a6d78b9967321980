"""A batch chosen mask after mask, each as if those before it had been measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from search.genome import Genome
from search.observations import FloatArray, masks_of
from search.surrogate import Fit

# Given expectations (M,), covariance of their errors (M, M) and variance of one measurement: each one's worth.
Worth = Callable[[FloatArray, FloatArray, float], FloatArray]


def choose_one_by_one(
    fit: Fit, genomes: Sequence[Genome], count: int, worth: Worth, *, may_repeat: bool = False
) -> list[Genome]:
    """Choose what is worth most, again and again.

    After each choice the beliefs are updated as if it had been measured and had scored as expected: masks that it
    would tell much about become less attractive, so that a batch does not ask the same thing many times.
    Reference: Desautels, Krause and Burdick, "Parallelizing Exploration-Exploitation Tradeoffs in Gaussian Process
    Bandit Optimization", JMLR 15 (2014).

    Args:
        fit: Fitted surrogate.
        genomes: Different masks to choose from, M of them, at least one.
        count: Number of choices; at most M are made where none may repeat.
        worth: What one more measurement of each mask is worth.
        may_repeat: Whether a mask may be chosen several times.
    """
    belief = fit.believe(masks_of(genomes))
    covariance, noise = belief.covariance.copy(), fit.noise**2
    is_left = np.ones(len(genomes), dtype=np.bool_)
    chosen: list[Genome] = []
    for _ in range(count if may_repeat else min(count, len(genomes))):
        best = int(np.argmax(np.where(is_left, worth(belief.mean, covariance, noise), -np.inf)))
        is_left[best] = may_repeat
        chosen.append(genomes[best])
        informed = covariance[:, best] / measured_deviation(covariance[best, best], noise)
        covariance -= np.outer(informed, informed)
    return chosen


def measured_deviation(variance: FloatArray, noise: float) -> FloatArray:
    """Standard deviation of what a measurement says, beliefs and noise together; rounding below zero counts as zero."""
    deviation: FloatArray = np.sqrt(np.maximum(variance, 0.0) + noise + 1e-300)
    return deviation
