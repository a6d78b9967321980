"""The learning rate of the search: one for all masks, the best over keep-all and transfer-all; or one for each.

One rate for all masks is unfair: keep-all likes a high one, transfer-all a low one.  So the rate that is best on
average over both serves the search, or every candidate is judged at its own best; in the final every mask takes its
own best.
"""

from __future__ import annotations

from collections.abc import Sequence

from search.decisions import DecisionLog
from search.errors import InvalidInputError
from search.evaluation import Arm, Candidate
from search.genome import keep_all, transfer_all
from search.ledger import Json, Position
from search.optimizer import SearchProblem
from search.race.ranking import rank
from search.recorded import RecordedEvaluator

PREPARING_PHASE = "preparing"


def choose_arm(
    recorded: RecordedEvaluator,
    decisions: DecisionLog,
    problem: SearchProblem,
    rates: Sequence[float],
    *,
    per_candidate: bool,
) -> Arm:
    """Choose the recipe of the search.

    With one rate, or if every candidate chooses for itself, there is nothing to measure.  Otherwise it is the rate with
    the best mean fitness over keep-all and transfer-all on validation data, and the choice is a row of the ledger.

    Raises:
        InvalidInputError: No rate trains both without diverging.
    """
    if per_candidate:
        return Arm(tuple(rates))
    if len(rates) == 1:
        return Arm(rates[0])
    pure = (keep_all(problem.n_genes), transfer_all(problem.n_genes))
    candidates = [
        Candidate(genome, problem.search_fidelity, arm=Arm(rate))
        for rate in rates
        for genome in pure
    ]
    evaluations = recorded.measure(PREPARING_PHASE, candidates)
    means: dict[float, float] = {}
    for rate in rates:
        standings = rank(e for e in evaluations if e.candidate.arm == Arm(rate))
        if len(standings) == len(pure):
            means[rate] = sum(standing.fitness for standing in standings) / len(standings)
    if not means:
        raise InvalidInputError(
            "finetune.learning_rate",
            list(rates),
            "a rate at which keep-all and transfer-all train without diverging; try smaller ones",
        )
    best = max(means, key=lambda rate: means[rate])
    value: dict[str, Json] = {
        "learning_rate": best,
        "mean_fitness": {repr(rate): mean for rate, mean in means.items()},
    }
    decision = decisions.decide(Position(PREPARING_PHASE), "learning_rate", lambda: (value, {}))
    return Arm(float(str(decision["learning_rate"])))
