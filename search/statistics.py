"""Intervals for means over replicates and test samples."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

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

    Replicates and samples are crossed random effects: every replicate is tested on every sample.  With s_r^2, s_n^2
    and s_rn^2 the mean squares of the two-way layout, each divided to the variance of the grand mean, that variance is
    s_r^2 + s_n^2 - s_rn^2, and its degrees of freedom follow Satterthwaite.  For two methods, pass the differences.
    Reference: Brennan, "Generalizability Theory", Springer 2001, ch. 3; Satterthwaite, Biometrics Bulletin 2 (1946).

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
    # Either effect alone is a lower bound: the difference of mean squares may fall below it by chance.
    variance = max(over_replicates + over_samples - interaction, over_replicates, over_samples)
    if variance == 0:
        return Interval(mean, mean, mean)
    freedom = variance**2 / (
        over_replicates**2 / (n_replicates - 1) + over_samples**2 / (n_samples - 1)
    )
    return _t_interval(mean, variance, max(1.0, freedom))


def _t_interval(mean: float, variance: float, freedom: float) -> Interval:
    margin = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * math.sqrt(variance)
    return Interval(mean, mean - margin, mean + margin)
