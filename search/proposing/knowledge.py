"""Which masks to measure next, by how much better the choice of the best one is expected to become.

This is the knowledge gradient: Frazier, Powell and Dayanik, "The Knowledge-Gradient Policy for Correlated Normal
Beliefs", INFORMS Journal on Computing 21 (2009).  A mask is worth a measurement if that may change which mask is
thought best, whether it is new or was measured before; noise counts, other than in an upper confidence bound.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from search.genome import Genome
from search.observations import FloatArray
from search.proposing.one_by_one import choose_one_by_one, measured_deviation
from search.surrogate import Fit

# What one measurement may say, in standard deviations, and how likely: the trapezoid rule, for the integrand has kinks,
# at which rules of high order gain nothing.
_SURPRISES = np.linspace(-5.0, 5.0, 31)
_PROBABILITIES = np.exp(-(_SURPRISES**2) / 2) / np.exp(-(_SURPRISES**2) / 2).sum()
# Masks with the highest expectations that may turn out best beside the measured one; bounds the work.
RIVALS = 64


def choose_by_knowledge(fit: Fit, genomes: Sequence[Genome], count: int) -> list[Genome]:
    """Choose different masks one after another, each worth most after those before it.

    Args:
        fit: Fitted surrogate.
        genomes: Different masks to choose from, M of them.
        count: Number of masks to choose, at most M.
    """
    return choose_one_by_one(fit, genomes, count, knowledge_gradient)


def choose_repeatedly(fit: Fit, genomes: Sequence[Genome], count: int) -> list[Genome]:
    """Choose as ``choose_by_knowledge``, but a mask may be chosen several times.

    Args:
        fit: Fitted surrogate.
        genomes: Different masks to choose from, at least one.
        count: Number of measurements.
    """
    return choose_one_by_one(fit, genomes, count, knowledge_gradient, may_repeat=True)


def knowledge_gradient(mean: FloatArray, covariance: FloatArray, noise: float) -> FloatArray:
    """Expected rise of the highest expectation by one measurement of each mask, ``(M,)``, in units of fitness.

    Args:
        mean: ``(M,)``: expected fitness.
        covariance: ``(M, M)``: of the errors of ``mean``.
        noise: Variance of one measurement.
    """
    # By how much every expectation changes per standard deviation of surprise: column x by measuring mask x.
    changes = covariance / measured_deviation(np.diagonal(covariance), noise)
    own = np.diagonal(changes)
    rivals = np.argsort(-mean, kind="stable")[:RIVALS]
    highest = np.zeros(len(mean))
    for surprise, probability in zip(_SURPRISES.tolist(), _PROBABILITIES.tolist(), strict=True):
        of_rivals = (mean[rivals, None] + surprise * changes[rivals]).max(axis=0)
        highest += probability * np.maximum(of_rivals, mean + surprise * own)
    gradient: FloatArray = highest - mean.max()
    return gradient
