"""Tests of the intervals: known cases, and coverage on simulated experiments."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from search.statistics import Interval, crossed_interval, replicate_interval


def test_replicate_interval_is_students() -> None:
    # Mean 2, standard error 1 / sqrt(3), t(0.975, 2) = 4.302653.
    interval = replicate_interval(np.array([1.0, 2.0, 3.0]))
    assert interval.mean == 2
    assert interval.low == pytest.approx(2 - 4.302653 / 3**0.5, rel=1e-6)
    assert interval.high == pytest.approx(2 + 4.302653 / 3**0.5, rel=1e-6)


def test_one_replicate_has_no_interval() -> None:
    assert replicate_interval(np.array([0.5])) == Interval(0.5, None, None)


def test_equal_methods_have_a_gain_of_exactly_zero() -> None:
    assert crossed_interval(np.zeros((5, 100))) == Interval(0.0, 0.0, 0.0)


@pytest.mark.parametrize("n_replicates", [2, 3, 5, 8])
@pytest.mark.parametrize(
    ("replicate_sd", "sample_sd"), [(0.0, 1.0), (0.5, 0.0), (0.1, 1.0), (0.5, 1.0)]
)
def test_intervals_contain_the_truth_in_about_95_of_100_experiments(
    n_replicates: int, replicate_sd: float, sample_sd: float
) -> None:
    rng, hits, n_experiments = np.random.default_rng(0), 0, 600
    for _ in range(n_experiments):
        scores = (
            replicate_sd * rng.normal(size=(n_replicates, 1))
            + sample_sd * rng.normal(size=(1, 80))
            + rng.normal(size=(n_replicates, 80))
        )
        hits += contains(crossed_interval(scores), 0.0)
    # Conservative for few replicates and where one effect is nearly absent; never clearly below 95%.
    assert 0.93 <= hits / n_experiments <= (0.99 if n_replicates < 5 else 0.98)


@pytest.mark.parametrize("n_replicates", [2, 3, 5, 8])
@pytest.mark.parametrize("luck", [0.1, 0.4])
def test_intervals_of_a_gain_in_accuracy_contain_the_truth(n_replicates: int, luck: float) -> None:
    """Two masks with sample preferences and lucky trainings: hits are 0 or 1."""
    rng, covered, n_experiments, gain = np.random.default_rng(0), 0, 500, 0.3
    spread = (1 + 0.4**2 + luck**2 + 0.5**2) ** 0.5
    truth = float(stats.norm.cdf((1 + gain) / spread) - stats.norm.cdf(1 / spread))
    for _ in range(n_experiments):
        easiness = rng.normal(1.0, 1.0, size=300)
        hits = [
            easiness
            + advantage
            + luck * rng.normal(size=(n_replicates, 1))
            + 0.4 * rng.normal(size=300)
            + 0.5 * rng.normal(size=(n_replicates, 300))
            > 0
            for advantage in (0.0, gain)
        ]
        covered += contains(crossed_interval(hits[1].astype(float) - hits[0]), truth)
    assert 0.93 <= covered / n_experiments <= 0.985


def contains(interval: Interval, truth: float) -> bool:
    assert interval.low is not None
    assert interval.high is not None
    return interval.low <= truth <= interval.high
