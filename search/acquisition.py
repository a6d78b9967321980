"""Which of many masks to measure next, by what a surrogate believes of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from search.genome import Genome
from search.surrogate import Fit


def choose_batch(fit: Fit, genomes: Sequence[Genome], count: int, optimism: float) -> list[Genome]:
    """Choose masks one after another by mean + optimism x deviation.

    After each choice the beliefs are updated as if it had been measured and had scored as expected: masks that it
    would tell much about become less attractive, so that a batch does not ask the same thing many times.
    Reference: Desautels, Krause and Burdick, "Parallelizing Exploration-Exploitation Tradeoffs in Gaussian Process
    Bandit Optimization", JMLR 15 (2014).

    Args:
        fit: Fitted surrogate.
        genomes: Different masks to choose from, M of them.
        count: Number of masks to choose, at most M.
        optimism: Standard deviations that an unknown mask is given credit for.
    """
    belief = fit.believe(np.array([genome.keeps for genome in genomes], dtype=np.bool_))
    mean, covariance = belief.mean, belief.covariance.copy()
    noise = fit.noise**2
    is_left = np.ones(len(genomes), dtype=np.bool_)
    chosen: list[Genome] = []
    for _ in range(min(count, len(genomes))):
        deviation = np.sqrt(np.maximum(np.diagonal(covariance), 0.0))
        score = np.where(is_left, mean + optimism * deviation, -np.inf)
        best = int(np.argmax(score))
        is_left[best] = False
        chosen.append(genomes[best])
        informed = covariance[:, best] / np.sqrt(covariance[best, best] + noise + 1e-300)
        covariance -= np.outer(informed, informed)
    return chosen
