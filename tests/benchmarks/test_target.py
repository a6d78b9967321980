"""Tests of what a search costs until it is there: failures cost all of their time."""

from __future__ import annotations

import pytest

from benchmarks.search_quality.evaluations_to_target import Unit, measure, render
from benchmarks.search_quality.target import Run, expected_cost, n_within, ratio_interval


def runs(*settled: float | None, whole: float = 10.0) -> list[Run]:
    return [Run(own, whole) for own in settled]


def test_failures_cost_all_their_time() -> None:
    assert expected_cost(runs(4, 6)) == 5
    assert expected_cost(runs(4, None)) == 14
    assert expected_cost(runs(None, None)) == 20


def test_a_ratio_compares_runs_of_the_same_seeds() -> None:
    assert ratio_interval(runs(8, 80), runs(1, 10)) == pytest.approx((8, 8))


def test_masks_within_one_percent_of_the_best_are_counted() -> None:
    assert n_within({"00": 0.9, "01": 0.895, "10": 0.7}) == 2


@pytest.mark.parametrize("searcher", ["transfermask genetic", "deap"])
def test_a_replay_ends_with_an_answer_or_without(searcher: str) -> None:
    unit = Unit(searcher, budget=40, seed=3)
    same, settled = measure(unit)
    assert same == unit
    assert settled is None or 1 <= settled <= 40
    assert measure(unit)[1] == settled


def test_the_table_compares_with_the_first_budget_of_transfermask() -> None:
    text = render(
        {"transfermask genetic, 20": [5, 5], "deap, 10": [10, 10], "deap, 4": [None, None]}
    )
    assert "| transfermask genetic, 20 | 2 of 2 | 5 |  |" in text
    assert "| deap, 10 | 2 of 2 | 10 | 2.0 [2.0, 2.0] |" in text
    assert "| deap, 4 | 0 of 2 | more than 8 | more than 1.6 [1.6, 1.6] |" in text
