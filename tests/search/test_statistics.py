"""Tests of the intervals: known cases, and coverage on simulated experiments."""

from __future__ import annotations

import numpy as np
import pytest

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


@pytest.mark.parametrize(
    ("replicate_sd", "sample_sd"), [(0.0, 1.0), (0.5, 0.0), (0.1, 1.0), (0.5, 1.0)]
)
def test_intervals_contain_the_truth_in_about_95_of_100_experiments(
    replicate_sd: float, sample_sd: float
) -> None:
    rng, hits, n_experiments = np.random.default_rng(0), 0, 600
    for _ in range(n_experiments):
        scores = (
            replicate_sd * rng.normal(size=(5, 1))
            + sample_sd * rng.normal(size=(1, 80))
            + rng.normal(size=(5, 80))
        )
        interval = crossed_interval(scores)
        assert interval.low is not None
        assert interval.high is not None
        hits += interval.low <= 0 <= interval.high
    # Conservative where one effect is nearly absent; never clearly below 95%.
    assert 0.93 <= hits / n_experiments <= 1.0
