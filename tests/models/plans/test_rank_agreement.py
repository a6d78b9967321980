"""Tests of comparing how two arithmetics rank masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from models.plans.rank_agreement import COMPARED_MASKS, rank_correlation
from search.evaluation import Candidate, Evaluation, Outcome


class Scorer:
    """Scores masks by a function; None is a candidate that diverged."""

    def __init__(self, score: Callable[[Candidate], float | None]) -> None:
        self._score = score
        self.asked: list[int] = []

    def evaluate(self, candidates: Sequence[Candidate]) -> list[Evaluation]:
        self.asked.append(len(candidates))
        scored = [(candidate, self._score(candidate)) for candidate in candidates]
        return [
            Evaluation(c, Outcome.DIVERGED if s is None else Outcome.MEASURED, s, 0.0)
            for c, s in scored
        ]


def number(candidate: Candidate) -> float:
    return float(int(candidate.genome.bitstring, 2))


def correlation(
    exact: Callable[[Candidate], float | None], fast: Callable[[Candidate], float | None]
) -> float:
    return rank_correlation(
        Scorer(exact), Scorer(fast), n_genes=10, fidelity=3, chunk_size=COMPARED_MASKS
    )


def test_scores_in_the_same_order_correlate_fully() -> None:
    assert correlation(number, lambda c: number(c) ** 3) == pytest.approx(1)
    assert correlation(number, lambda c: -number(c)) == pytest.approx(-1)


def test_unrelated_scores_do_not_correlate() -> None:
    assert abs(correlation(number, lambda c: hash(c.genome.bitstring[5:]) % 97)) < 0.6


def test_what_diverges_is_left_out_and_too_much_of_it_is_no_agreement() -> None:
    assert correlation(number, lambda c: None if number(c) < 200 else number(c)) == pytest.approx(1)
    assert correlation(number, lambda c: None if number(c) < 900 else number(c)) == 0


def test_scores_that_are_all_alike_tell_nothing() -> None:
    assert correlation(number, lambda _: 0.5) == 0


def test_masks_are_asked_for_in_chunks_at_the_search_fidelity() -> None:
    fidelities = set()

    def score(candidate: Candidate) -> float:
        fidelities.add(candidate.fidelity)
        return number(candidate)

    scorer = Scorer(score)
    rank_correlation(scorer, Scorer(number), n_genes=10, fidelity=3, chunk_size=24)
    assert scorer.asked == [24, 8]
    assert fidelities == {3}
