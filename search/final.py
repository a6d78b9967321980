"""The final: finalists and baselines at full length, each at its own best learning rate.

Winner and learning rates are chosen on validation data.  The test split is read once, after that, for the winner
and the baselines; what was read is a row of the ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from search.errors import InvalidInputError
from search.evaluation import FINAL_REPLICATE, Arm, Candidate, Evaluation, Evaluator
from search.genome import Genome
from search.ranking import Standing, rank
from search.recorded import RecordedEvaluator

FINAL_PHASE = "final"


class FinalOptions(BaseModel):
    """Options of the final: what full length means, and how well it is measured."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    steps: int = Field(600, ge=0, le=10_000_000, description="fine-tuning steps at full length")
    finalists: int = Field(
        3, ge=1, le=100, description="best masks of the race, besides the baselines"
    )
    replicates: int = Field(
        5, ge=2, le=100, description="fresh draws; at least 2, intervals need a spread"
    )
    learning_rate_factors: tuple[float, ...] = Field(
        (0.3, 1.0, 3.0),
        min_length=1,
        max_length=20,
        description="every mask takes its best of these times the search's learning rate; with "
        "learning_rate_per_candidate its best of the search's rates instead",
    )

    @field_validator("learning_rate_factors")
    @classmethod
    def _are_different_and_positive(cls, factors: tuple[float, ...]) -> tuple[float, ...]:
        if not 1e-9 <= min(factors) <= max(factors) <= 1e9 or len(set(factors)) < len(factors):
            raise ValueError(
                f"learning_rate_factors {list(factors)} must be from 1e-9 to 1e9 and all different"
            )
        return factors

    def arms(self, arm: Arm) -> list[Arm]:
        """The recipes that every mask may choose from: the search's, at each learning rate.

        A search whose candidates choose among several rates has these; one with a single rate has its multiples.
        """
        if not arm.rates:
            raise ValueError("full length needs a recipe with a learning rate to multiply")
        if len(arm.rates) > 1:
            return [Arm(rate) for rate in arm.rates]
        return [Arm(arm.rates[0] * factor) for factor in self.learning_rate_factors]

    def n_arms(self, n_search_rates: int) -> int:
        """Number of recipes, from the number of rates among which a candidate of the search chooses."""
        return n_search_rates if n_search_rates > 1 else len(self.learning_rate_factors)


@dataclass(frozen=True, slots=True)
class Contender:
    """One mask in the final, at its best learning rate.

    Attributes:
        standing: The mask and its mean over the final's replicates.
        arm: The learning rate that was best for it on validation data.
        evaluations: One per replicate, in order.
    """

    standing: Standing
    arm: Arm
    evaluations: tuple[Evaluation, ...]

    @property
    def genome(self) -> Genome:
        """The mask."""
        return self.standing.genome

    @property
    def fitness(self) -> NDArray[np.float64]:
        """Validation fitness per replicate, ``(R,)``; nothing failed, or the arm would have no standing."""
        return np.array([e.fitness for e in self.evaluations], dtype=np.float64)

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """What was measured, one per replicate, in order."""
        return tuple(evaluation.candidate for evaluation in self.evaluations)


@dataclass(frozen=True, slots=True)
class FinalOutcome:
    """Contenders by mean validation fitness, best first; masks that failed at every rate are left out."""

    contenders: tuple[Contender, ...]

    @property
    def winner(self) -> Contender:
        """The best on validation data; a baseline may be it."""
        return self.contenders[0]

    def contender(self, genome: Genome | None) -> Contender | None:
        """One mask's entry; None for a mask that failed or did not take part."""
        return next((c for c in self.contenders if c.genome == genome), None)


def run_final(
    recorded: RecordedEvaluator,
    evaluator: Evaluator,
    entrants: Sequence[Genome],
    arm: Arm,
    options: FinalOptions,
) -> FinalOutcome:
    """Measure every entrant at full length, at every learning rate, at fresh replicates.

    Args:
        recorded: Measures.
        evaluator: Used for this phase; it also keeps weights and test scores.
        entrants: Masks, baselines included; repeats count once.
        arm: The search's recipe; its learning rate is what the factors multiply.
        options: Steps, replicates and learning-rate factors.

    Raises:
        InvalidInputError: Every entrant diverged at every learning rate.
    """
    arms = options.arms(arm)
    candidates = [
        Candidate(genome, options.steps, FINAL_REPLICATE + replicate, own_arm)
        for replicate in range(options.replicates)
        for own_arm in arms
        for genome in dict.fromkeys(entrants)
    ]
    evaluations = recorded.measure(FINAL_PHASE, candidates, evaluator)
    contenders = at_own_best_arm(evaluations, arms)
    if not contenders:
        raise InvalidInputError(
            "finetune.learning_rate",
            [own_arm.learning_rate for own_arm in arms],
            "a rate at which at least one mask trains to the end without diverging; try smaller ones",
        )
    return FinalOutcome(tuple(contenders))


def at_own_best_arm(evaluations: Sequence[Evaluation], arms: Sequence[Arm]) -> list[Contender]:
    """Rank masks, each at the arm that is best for it; masks that failed at every arm are left out."""
    best: dict[Genome, Contender] = {}
    for arm in arms:
        at_arm = [evaluation for evaluation in evaluations if evaluation.candidate.arm == arm]
        for standing in rank(at_arm):
            champion = best.get(standing.genome)
            if champion is None or standing.order < champion.standing.order:
                own = tuple(e for e in at_arm if e.candidate.genome == standing.genome)
                best[standing.genome] = Contender(standing, arm, own)
    return sorted(best.values(), key=lambda contender: contender.standing.order)
