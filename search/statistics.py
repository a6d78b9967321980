"""Intervals for means over replicates and test samples."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and its two-sided 95% confidence interval; the bounds are None where no spread can be estimated."""

    mean: float
    low: float | None
    high: float | None


def replicate_interval(values: NDArray[np.float64]) -> Interval:
    """Student's t interval of a mean.

    Args:
        values: ``(R,)``, one per replicate.
    """
    mean = float(values.mean())
    if len(values) < 2:
        return Interval(mean, None, None)
    return _t_interval(mean, float(values.var(ddof=1)) / len(values), len(values) - 1)


def crossed_interval(scores: NDArray[np.float64]) -> Interval:
    """Interval of a mean that covers both new replicates and new test samples.

    Replicates and samples are crossed random effects: every replicate is tested on every sample.  With v_r, v_n and
    v_rn the mean squares of the two-way layout, each divided to the variance of the grand mean, that variance is
    v_r + (v_n - v_rn), and the half width is the root of t_r^2 v_r + t_n^2 (v_n - v_rn), each part with Student's
    quantile of its own degrees of freedom.  One quantile for the sum, by Satterthwaite, covers 88% instead of 95% for
    two replicates and 91% for three where both effects matter (docs/decisions/0007-intervals.md).  For two methods,
    pass the differences.
    References: Brennan, "Generalizability Theory", Springer 2001, ch. 3; Howe, "Approximate Confidence Limits on the
    Mean of X + Y", JASA 69 (1974), 789-794.

    Args:
        scores: ``(R, N)``: replicate r's score on test sample n, or its paired difference between two methods.
    """
    n_replicates, n_samples = scores.shape
    mean = float(scores.mean())
    if n_samples < 2:
        return replicate_interval(scores.mean(axis=1))
    over_samples = float(scores.mean(axis=0).var(ddof=1)) / n_samples
    if n_replicates < 2:
        return _t_interval(mean, over_samples, n_samples - 1)
    over_replicates = float(scores.mean(axis=1).var(ddof=1)) / n_replicates
    residuals = scores - scores.mean(axis=0) - scores.mean(axis=1, keepdims=True) + mean
    degrees = (n_replicates - 1) * (n_samples - 1)
    interaction = float((residuals**2).sum()) / degrees / (n_replicates * n_samples)
    # The difference of mean squares may fall below 0 by chance.
    of_samples = max(0.0, over_samples - interaction)
    margin = math.sqrt(
        _quantile(n_replicates - 1) ** 2 * over_replicates
        + _quantile(n_samples - 1) ** 2 * of_samples
    )
    return Interval(mean, mean - margin, mean + margin)


def _t_interval(mean: float, variance: float, freedom: float) -> Interval:
    margin = _quantile(freedom) * math.sqrt(variance)
    return Interval(mean, mean - margin, mean + margin)


def _quantile(freedom: float) -> float:
    """Student's, for both sides together."""
    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2))
