"""Tests of cooling, reheating and exchange."""

from __future__ import annotations

import math
from collections import Counter
from itertools import permutations

import numpy as np
import pytest

from search.annealing.schedule import Thermostat, exchanged, ladder, wanted_acceptance

HOT, COLD = 16.0, 1.0


def temperatures(thermostat: Thermostat, successes: list[bool]) -> list[float]:
    values = []
    for batch, is_success in enumerate(successes, start=1):
        thermostat.advance(batch / len(successes), accepted=None, is_success=is_success)
        values.append(thermostat.temperature(HOT, COLD))
    return values


def test_exponential_cooling_falls_by_one_factor() -> None:
    assert temperatures(Thermostat("exponential", None), [True] * 4) == pytest.approx([8, 4, 2, 1])


def test_linear_cooling_falls_by_one_difference() -> None:
    expected = [12.25, 8.5, 4.75, 1]
    assert temperatures(Thermostat("linear", None), [False] * 4) == pytest.approx(expected)


def test_reheating_follows_batches_without_success_and_still_ends_cold() -> None:
    values = temperatures(Thermostat("exponential", 2), [True, False, False, True, True, True])
    # Half the way of the third batch, 0.5, is taken back; the rest of the way takes what is left.
    positions = [1 / 6, 2 / 6, 1 / 4, 1 / 2, 3 / 4, 1]
    assert values == pytest.approx([HOT ** (1 - position) for position in positions])


def test_adaptive_cooling_heats_where_too_little_is_accepted_and_cools_where_too_much_is() -> None:
    thermostat = Thermostat("adaptive", None)
    values = []
    for accepted in (1.0, 1.0, None, 0.44, 0.0):
        thermostat.advance(0.5, accepted=accepted, is_success=True)
        values.append(thermostat.temperature(HOT, COLD))
    once, twice, idle, on_target, heated = values
    assert HOT > once > twice == idle == pytest.approx(on_target)
    assert twice < heated < HOT


def test_adaptive_cooling_stays_between_hot_and_cold() -> None:
    thermostat = Thermostat("adaptive", None)
    for accepted, end in ((1.0, COLD), (0.0, HOT)):
        for _ in range(40):
            thermostat.advance(0.5, accepted=accepted, is_success=True)
        assert thermostat.temperature(HOT, COLD) == pytest.approx(end)


def test_wanted_acceptance_falls_from_all_to_a_plateau_to_nearly_nothing() -> None:
    assert wanted_acceptance(0) == 1
    assert wanted_acceptance(0.15) == wanted_acceptance(0.6) == 0.44
    assert wanted_acceptance(1) == pytest.approx(0.001)


def test_a_ladder_has_one_factor_between_rungs() -> None:
    assert ladder(2.0, 4, 8.0) == pytest.approx([2, 4, 8, 16])
    assert ladder(2.0, 1, 8.0) == [2.0]


def test_exchange_keeps_the_joint_boltzmann_distribution() -> None:
    """Many exchanges of three fixed states visit every order as often as its probability says."""
    rungs_at, energies = ladder(0.5, 3, 4.0), [0.3, 0.0, 0.9]
    rng = np.random.default_rng(0)
    rungs, visits = [0, 1, 2], Counter[tuple[int, ...]]()
    for _ in range(8000):
        rungs = exchanged(rungs, rungs_at, energies, rng)
        visits[tuple(rungs)] += 1
    weights = {
        order: math.exp(-sum(e / rungs_at[r] for e, r in zip(energies, order, strict=True)))
        for order in permutations(range(3))
    }
    for order, weight in weights.items():
        assert visits[order] / 8000 == pytest.approx(weight / sum(weights.values()), abs=0.02)


def test_a_better_state_on_the_hotter_rung_is_always_exchanged() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        assert exchanged([1, 0], [1.0, 2.0], [0.0, 5.0], rng) == [0, 1]
