"""The final: the winner of the race and the baselines at full length, on draws that chose nothing.

Winner and learning rates were chosen in the race, on validation data.  The test split is read once, after the final,
for the winner and the baselines; what was read is a row of the ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, field_validator

from search.errors import InvalidInputError
from search.evaluation import FINAL_REPLICATE, Arm, Candidate, Evaluation, Evaluator
from search.genome import Genome, keep_all, prefixes, transfer_all
from search.race.long_heat import Entry
from search.race.ranking import Standing, rank
from search.recorded import RecordedEvaluator

FINAL_PHASE = "final"


class FinalOptions(BaseModel):
    """Options of the final: what full length means, and how well it is measured."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    steps: int = Field(600, ge=0, le=10_000_000, description="fine-tuning steps at full length")
    finalists: int = Field(
        3,
        ge=1,
        le=100,
        description="masks, besides the baselines, that stay in the race to its end; the final tests the best of them, "
        "the next one if that diverges",
    )
    replicates: int = Field(
        8, ge=2, le=100, description="fresh draws; at least 2, intervals need a spread"
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
    """One mask in the final.

    Attributes:
        standing: The mask and its mean over the final's replicates.
        arm: The learning rate that was best for it in the race.
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
        """Validation fitness per replicate, ``(R,)``; nothing failed, or there would be no standing."""
        return np.array([e.fitness for e in self.evaluations], dtype=np.float64)

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """What was measured, one per replicate, in order."""
        return tuple(evaluation.candidate for evaluation in self.evaluations)


@dataclass(frozen=True, slots=True)
class FinalOutcome:
    """Who trained to the end.

    Attributes:
        contenders: Winner and baselines in the race's order, so that the winner is the first; one that failed at any
            replicate is left out, and the next of the race has taken its place.
    """

    contenders: tuple[Contender, ...]

    @property
    def winner(self) -> Contender:
        """The best of the race; a baseline may be it."""
        return self.contenders[0]

    @property
    def best_prefix(self) -> Contender | None:
        """The best prefix of the race; None for a single gene, which has none, or if all failed."""
        all_prefixes = set(prefixes(self.winner.genome.n_genes))
        return next((c for c in self.contenders if c.genome in all_prefixes), None)

    def contender(self, genome: Genome) -> Contender | None:
        """One mask's entry; None for a mask that failed or did not take part."""
        return next((c for c in self.contenders if c.genome == genome), None)


def run_final(
    recorded: RecordedEvaluator,
    evaluator: Evaluator,
    entries: Sequence[Entry],
    arm: Arm,
    options: FinalOptions,
) -> FinalOutcome:
    """Measure the winner and the baselines at full length, at fresh replicates.

    Args:
        recorded: Measures.
        evaluator: Used for this phase; it also keeps weights and test scores.
        entries: The race's order, best first, baselines included, each at its own best learning rate.
        arm: The search's recipe, for the error.
        options: Steps and replicates.

    Raises:
        InvalidInputError: Every entry diverged, or there is none.
    """
    contenders: dict[Genome, Contender] = {}
    waiting = list(entries)
    # Whoever fails makes room for the next one, so there may be a second lineup.
    while lineup := [entry for entry in _lineup(waiting) if entry.genome not in contenders]:
        evaluations = recorded.measure(
            FINAL_PHASE,
            [
                Candidate(entry.genome, options.steps, FINAL_REPLICATE + replicate, entry.arm)
                for replicate in range(options.replicates)
                for entry in lineup
            ],
            evaluator,
        )
        standings = {standing.genome: standing for standing in rank(evaluations)}
        for entry in lineup:
            if entry.genome not in standings:
                waiting.remove(entry)
                continue
            own = tuple(e for e in evaluations if e.candidate.genome == entry.genome)
            contenders[entry.genome] = Contender(standings[entry.genome], entry.arm, own)
    if not contenders:
        raise InvalidInputError(
            "finetune.learning_rate",
            [own_arm.learning_rate for own_arm in options.arms(arm)],
            "a rate at which at least one mask trains to the end without diverging; try smaller ones",
        )
    return FinalOutcome(tuple(contenders[e.genome] for e in waiting if e.genome in contenders))


def n_contenders(n_genes: int) -> int:
    """Most masks that the final measures while none of them fails."""
    # Winner, keep-all, transfer-all, best prefix; a single gene has two masks in all.
    return 4 if n_genes > 1 else 2


def _lineup(entries: Sequence[Entry]) -> list[Entry]:
    """The best entry, the best prefix and both pure strategies, in the order given."""
    if not entries:
        return []
    n_genes = entries[0].genome.n_genes
    all_prefixes = set(prefixes(n_genes))
    wanted = {entries[0].genome, keep_all(n_genes), transfer_all(n_genes)}
    best_prefix = next((e.genome for e in entries if e.genome in all_prefixes), None)
    return [entry for entry in entries if entry.genome in wanted | {best_prefix}]
