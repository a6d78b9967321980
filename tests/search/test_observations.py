"""Tests of what an optimizer has seen."""

from __future__ import annotations

import numpy as np

from search.evaluation import UNTRAINED, Candidate, Evaluation, Outcome
from search.genome import Genome
from search.observations import Observations, evenly_spaced

A, B, C = (Genome.from_bitstring(bits) for bits in ("001", "010", "100"))


def measured(genome: Genome, fitness: float | None, replicate: int = 0) -> Evaluation:
    outcome = Outcome.DIVERGED if fitness is None else Outcome.MEASURED
    return Evaluation(Candidate(genome, 40, replicate), outcome, fitness, 0.0)


def test_a_mask_is_asked_for_at_its_next_unused_replicate() -> None:
    seen = Observations()
    asked = seen.candidates([A, B, A], 40) + seen.candidates([A], 40)
    assert [(c.genome, c.replicate) for c in asked] == [(A, 0), (B, 0), (A, 1), (A, 2)]
    assert (seen.was_asked(A), seen.was_asked(C), seen.n_asked) == (True, False, 2)


def test_arrays_are_in_the_order_told() -> None:
    seen = Observations([measured(B, 0.5), measured(A, 0.25, 3)])
    assert seen.masks.tolist() == [[False, True, False], [False, False, True]]
    assert seen.replicates.tolist() == [0, 3]
    np.testing.assert_array_equal(seen.fitness, [0.5, 0.25])


def test_a_mask_that_failed_once_has_no_mean() -> None:
    seen = Observations(
        [measured(A, 0.2), measured(A, 0.4, 1), measured(B, 0.9), measured(B, None)]
    )
    assert seen.means() == {A: 0.30000000000000004}
    assert seen.genomes == [A]
    assert seen.failed == [B]
    assert (len(seen), seen.n_told) == (3, 4)


def test_the_last_values_are_observations_of_their_own() -> None:
    seen = Observations([measured(A, 0.1), measured(B, 0.2), measured(A, 0.3, 1)])
    np.testing.assert_array_equal(seen.last(2).fitness, [0.2, 0.3])
    assert seen.last(2).genomes == [B, A]
    assert seen.last(3) is seen


def test_thinned_out_evaluations_cover_the_whole_time() -> None:
    told = [measured(A, float(index)) for index in range(10)]
    assert [e.fitness for e in evenly_spaced(told, 4)] == [0.0, 3.0, 6.0, 9.0]
    assert list(evenly_spaced(told, 10)) == told
    assert evenly_spaced([], 4) == []


def test_what_was_told_counts_as_asked() -> None:
    seen = Observations([measured(A, 0.1, 2)])
    assert seen.was_asked(A)
    assert seen.candidates([A], 40)[0].replicate == 3


def test_what_a_mask_scores_untrained_is_no_evaluation_of_it() -> None:
    untrained = Evaluation(Candidate(A, UNTRAINED), Outcome.MEASURED, 0.1, 0.0, 2.3)
    seen = Observations([untrained, measured(B, 0.5)])
    assert (len(seen), seen.n_told, seen.genomes) == (1, 1, [B])
    assert (A in seen.untrained, seen.was_asked(A), seen.tells_losses) == (True, False, False)
