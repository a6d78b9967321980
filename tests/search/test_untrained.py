"""Tests of the scores that masks have before any training."""

from __future__ import annotations

import numpy as np
import pytest

from search.evaluation import UNTRAINED, Candidate, Evaluation, Outcome
from search.genome import Genome
from search.untrained import UntrainedLosses

A, B, C, D = (Genome.from_bitstring(bits) for bits in ("00", "01", "10", "11"))


def losses(**by_mask: float | None) -> UntrainedLosses:
    found = UntrainedLosses()
    for bits, loss in by_mask.items():
        candidate = Candidate(Genome.from_bitstring(bits[1:]), UNTRAINED)
        found.add(Evaluation(candidate, Outcome.MEASURED, 0.1, 0.0, loss))
    return found


def scores(found: UntrainedLosses, *genomes: Genome) -> list[float]:
    of_masks: list[float] = found.scores().of(np.array([g.keeps for g in genomes])).tolist()
    return of_masks


def test_scores_are_normal_quantiles_of_the_ranks() -> None:
    found = losses(m00=2.0, m01=1.5, m10=900.0)
    expected = [0.0, -0.967421566, 0.967421566]  # quantiles of 1/2, 1/6 and 5/6
    assert scores(found, A, B, C) == pytest.approx(expected)


def test_equal_losses_have_equal_scores() -> None:
    found = losses(m00=1.0, m01=1.0, m10=2.0)
    assert scores(found, A) == scores(found, B) < scores(found, C)


def test_a_mask_that_fails_is_the_worst() -> None:
    found = losses(m00=1.0, m01=90.0)
    found.add(Evaluation(Candidate(C, UNTRAINED), Outcome.DIVERGED, None, 0.0))
    assert scores(found, A) < scores(found, B) < scores(found, C)


def test_a_mask_without_a_loss_has_no_score_and_is_not_asked_for_again() -> None:
    found = losses(m00=1.0, m01=None)
    assert np.isnan(scores(found, B, D)).all()
    assert (B in found, D in found, len(found)) == (True, False, 2)


def test_what_comes_later_does_not_change_scores_that_were_given() -> None:
    found = losses(m00=1.0, m01=2.0)
    given = found.scores()
    found.add(Evaluation(Candidate(C, UNTRAINED), Outcome.MEASURED, 0.1, 0.0, 0.5))
    assert given.of(np.array([A.keeps])).tolist() != scores(found, A)
    assert np.isnan(given.of(np.array([C.keeps]))).all()
