"""Tests of the noise estimate where masks have different numbers of replicates."""

from __future__ import annotations

import numpy as np
import pytest

from search.evaluation import Candidate, Evaluation, Outcome
from search.genome import Genome
from search.race.noise import Noise, measure_noise


def evaluation(row: int, replicate: int, fitness: float | None) -> Evaluation:
    genome = Genome.from_bitstring(f"{row:08b}")
    outcome = Outcome.DIVERGED if fitness is None else Outcome.MEASURED
    return Evaluation(Candidate(genome, 40, replicate), outcome, fitness, 0.0)


def staircase(
    rng: np.random.Generator, total_of_replicates: float, residual: float
) -> list[Evaluation]:
    """Twelve masks, each with a level of its own; a third leave after each replicate from the second on."""
    levels, shifts = rng.normal(size=12), total_of_replicates * rng.normal(size=4)
    return [
        evaluation(row, replicate, levels[row] + shifts[replicate] + residual * rng.normal())
        for replicate, n_left in enumerate((12, 12, 8, 4))
        for row in range(n_left)
    ]


def test_noise_is_found_again_where_masks_leave_on_the_way() -> None:
    rng = np.random.default_rng(0)
    found = [measure_noise(staircase(rng, 0.3, 0.1)) for _ in range(500)]
    assert np.mean([noise.paired**2 for noise in found if noise.paired]) == pytest.approx(
        0.1**2, rel=0.03
    )
    assert np.mean([noise.total**2 for noise in found if noise.total]) == pytest.approx(
        0.1**2 + 0.3**2, rel=0.1
    )
    # 36 scores less 12 masks less 3 differences between replicates.
    assert {noise.degrees for noise in found} == {21}


def test_shifts_of_whole_replicates_are_no_paired_noise() -> None:
    noise = measure_noise(staircase(np.random.default_rng(1), 0.3, 0.0))
    assert noise.total is not None
    assert noise.total > 0.01
    assert noise.paired == pytest.approx(0.0, abs=1e-12)


def test_one_replicate_tells_nothing_and_failed_masks_do_not_count() -> None:
    once = [evaluation(row, 0, 0.5) for row in range(4)]
    assert measure_noise(once) == Noise(None, None)
    assert measure_noise([]) == Noise(None, None)
    failed = [evaluation(row, replicate, None) for row in (5, 6) for replicate in (0, 1)]
    one_mask = [evaluation(1, 0, 0.5), evaluation(1, 1, 0.6)]
    assert measure_noise(failed + one_mask).paired is None
