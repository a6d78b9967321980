"""When is a search there?  From when on its answer is within 1% of the best mask, and what that costs with failures.

A search is within 1% while the mask it would return has a true fitness of at least 0.99 times the best mask's; truth is
what many more trainings of the leading masks say (``benchmarks.search_quality.leaders``).  It is there from the moment
on from which this stays so to the end of its budget: a lucky score that is displaced by a luckier one of a worse mask
does not count.

Searches that never get there cost something as well.  What a search costs is its expected running time when it is
started again until it succeeds: the cost of all runs, of successful ones until they were there, over the number of
successes (Hansen et al., "COCO: a platform for comparing continuous optimizers", Optimization Methods and Software 36
(2021)).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.search_quality.replay import best_score
from search.evaluation import Evaluation
from search.genome import Genome
from search.race.leaders import leading_masks

# The demo's task at the schedule of its spec.
TABLE = "demo_one_cycle"
SHARE_OF_OPTIMUM = 0.99
N_BOOTSTRAP = 10_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What a search would return.

    Attributes:
        moment: When the last evaluation came back on which it rests; seconds, or a number of evaluations.
        mask: The answer.
        choosing_seconds: What choosing took.
    """

    moment: float
    mask: Genome
    choosing_seconds: float


@dataclass(frozen=True, slots=True)
class Run:
    """One search.

    Attributes:
        settled: The cost until it was there for good; None if it never was.
        whole: The cost of all of it, in the same unit.
    """

    settled: float | None
    whole: float


def answers_of(told: Sequence[tuple[float, Evaluation]], *, is_peer: bool) -> tuple[Answer, ...]:
    """What a search would return each time that something came back.

    Args:
        told: When each evaluation came back, in order; those of one moment came back at once.
        is_peer: A peer returns the mask with the best score, transfermask the one with the best expectation.
    """
    answers: list[Answer] = []
    evaluations: list[Evaluation] = []
    for place, (moment, evaluation) in enumerate(told):
        evaluations.append(evaluation)
        if place + 1 < len(told) and told[place + 1][0] <= moment:
            continue
        asked = time.perf_counter()
        mask = best_score(evaluations) if is_peer else leading_masks(evaluations)[0]
        answers.append(Answer(moment, mask, time.perf_counter() - asked))
    return tuple(answers)


def first_and_settled(
    answers: Sequence[Answer], truth: Mapping[str, float]
) -> tuple[Answer | None, Answer | None]:
    """The first answer within 1%, and the one from which on all are; None if there is none.

    Args:
        answers: In order.
        truth: Mean fitness of the leading masks; any other is not within 1%.
    """
    near = _within(truth)
    is_there = [answer.mask.bitstring in near for answer in answers]
    first = next((a for a, there in zip(answers, is_there, strict=True) if there), None)
    n_missed = max((place + 1 for place, there in enumerate(is_there) if not there), default=0)
    return first, answers[n_missed] if n_missed < len(answers) else None


def n_within(truth: Mapping[str, float]) -> int:
    """How many masks are within 1% of the best."""
    return len(_within(truth))


def expected_cost(runs: Sequence[Run]) -> float:
    """Expected cost until success; the cost of all runs, a lower bound, if none succeeded."""
    spent = sum(run.whole if run.settled is None else run.settled for run in runs)
    return spent / max(1, sum(run.settled is not None for run in runs))


def ratio_interval(theirs: Sequence[Run], own: Sequence[Run]) -> tuple[float, float]:
    """95% bootstrap interval of their expected cost over ours; runs are drawn in pairs, by seed."""
    rng, n_seeds = np.random.default_rng(0), min(len(theirs), len(own))
    drawn = rng.integers(n_seeds, size=(N_BOOTSTRAP, n_seeds))
    found = [
        expected_cost([theirs[i] for i in rows]) / expected_cost([own[i] for i in rows])
        for rows in drawn
    ]
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def show_cost(runs: Sequence[Run], decimals: int) -> str:
    """The expected cost, as a lower bound where none succeeded."""
    return f"{_bound(runs)}{expected_cost(runs):.{decimals}f}"


def show_ratio(theirs: Sequence[Run], own: Sequence[Run]) -> str:
    """Their expected cost over ours, with its interval."""
    low, high = ratio_interval(theirs, own)
    factor = expected_cost(theirs) / expected_cost(own)
    return f"{_bound(theirs)}{factor:.1f} [{low:.1f}, {high:.1f}]"


def _bound(runs: Sequence[Run]) -> str:
    return "" if any(run.settled is not None for run in runs) else "more than "


def _within(truth: Mapping[str, float]) -> set[str]:
    needed = SHARE_OF_OPTIMUM * max(truth.values())
    return {mask for mask, fitness in truth.items() if fitness >= needed}
