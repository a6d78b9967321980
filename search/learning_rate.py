"""One learning rate for the search phase, chosen where no mask is favoured.

A single rate that suits one of keep-all and transfer-all makes the other look bad.  The rate that is best on average
over both serves the search; in the final every mask takes its own best.
"""

from __future__ import annotations

from collections.abc import Sequence

from search.decisions import DecisionLog
from search.errors import InvalidInputError
from search.evaluation import Arm, Candidate
from search.genome import keep_all, transfer_all
from search.ledger import Json, Position
from search.optimizer import SearchProblem
from search.ranking import rank
from search.recorded import RecordedEvaluator

PREPARING_PHASE = "preparing"


def choose_learning_rate(
    recorded: RecordedEvaluator,
    decisions: DecisionLog,
    problem: SearchProblem,
    rates: Sequence[float],
) -> float:
    """Choose, on validation data, the rate with the best mean fitness over keep-all and transfer-all.

    With one rate there is nothing to measure.  The choice is a row of the ledger.

    Raises:
        InvalidInputError: No rate trains both without diverging.
    """
    if len(rates) == 1:
        return rates[0]
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
    return float(str(decision["learning_rate"]))
