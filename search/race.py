"""The race: the leaders of the search and the baselines again, on draws that did not help to select them.

The best score of a noisy search is mostly luck, and what learns fastest is not what ends best.  So there are two heats,
both paired: every entrant is measured at the same fresh replicates, and only these count.  The short heat at the search
fidelity measures the noise; the long heat at full length, every entrant at its own best learning rate, decides who goes
to the final.

Baselines: keep-all, transfer-all, and as many of the best prefixes as there are leaders, so that the best prefix is
selected with the same care as the best mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from search.evaluation import RACE_REPLICATE, Arm, Candidate, Evaluation
from search.final import FinalOptions, at_own_best_arm
from search.genome import Genome, keep_all, prefixes, transfer_all
from search.optimizer import SearchProblem
from search.ranking import Standing, rank
from search.recorded import RecordedEvaluator

RACE_PHASE = "race"


class RaceOptions(BaseModel):
    """Options of the race."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    leaders: int = Field(8, ge=1, le=1000, description="best masks of the search that race")
    replicates: int = Field(
        3, ge=1, le=100, description="fresh draws of the short heat, at the search fidelity"
    )
    full_length_replicates: int = Field(
        1,
        ge=0,
        le=100,
        description="fresh draws of the long heat, at full length; 0: the short heat decides",
    )


@dataclass(frozen=True, slots=True)
class Noise:
    """Spread of one evaluation between replicates, in units of fitness (standard deviations).

    ``total`` is the spread of one mask's fitness; ``paired`` what is left of it in the difference to other masks at
    the same replicate, per mask.  None where the race had too few entrants or replicates.
    """

    total: float | None
    paired: float | None


@dataclass(frozen=True, slots=True)
class RaceOutcome:
    """Who came where.

    Attributes:
        standings: Entrants by mean fitness in the heat that decides, best first; failed ones are left out.
        best_prefix: The best prefix; None for a single gene, which has none, or if all failed.
        noise: Spread of evaluations at search fidelity.
    """

    standings: tuple[Standing, ...]
    best_prefix: Genome | None
    noise: Noise

    def finalists(self, count: int) -> list[Genome]:
        """The best ``count`` masks that are not baselines; those go to the final in any case."""
        genomes = [standing.genome for standing in self.standings]
        if not genomes:
            return []
        n_genes = genomes[0].n_genes
        baselines = {keep_all(n_genes), transfer_all(n_genes), self.best_prefix}
        return [genome for genome in genomes if genome not in baselines][:count]


@dataclass(frozen=True, slots=True)
class _Entrants:
    """Masks that race; baselines among them."""

    genomes: tuple[Genome, ...]
    prefixes: tuple[Genome, ...]


def run_race(
    recorded: RecordedEvaluator,
    problem: SearchProblem,
    arm: Arm,
    found: Sequence[Evaluation],
    *,
    options: RaceOptions,
    final: FinalOptions,
) -> RaceOutcome:
    """Measure leaders and baselines at fresh replicates.

    Args:
        recorded: Measures.
        problem: Gives the number of genes and the search fidelity.
        arm: The search's recipe.
        found: What the search phase measured.
        options: Leaders and replicates.
        final: Says what full length is, and which learning rates there are.
    """
    entrants = _enter(recorded, problem, arm, found, options.leaders)
    short_heat = recorded.measure(
        RACE_PHASE,
        [
            Candidate(genome, problem.search_fidelity, RACE_REPLICATE + replicate, arm)
            for replicate in range(options.replicates)
            for genome in entrants.genomes
        ],
    )
    standings = rank(short_heat)
    # A final that is no longer than a search evaluation has nothing to add.
    if options.full_length_replicates and final.steps > problem.search_fidelity:
        standings = _long_heat(recorded, arm, entrants, options, final)
    best_prefix = next((s.genome for s in standings if s.genome in entrants.prefixes), None)
    return RaceOutcome(tuple(standings), best_prefix, _noise(short_heat, options.replicates))


def _enter(
    recorded: RecordedEvaluator,
    problem: SearchProblem,
    arm: Arm,
    found: Sequence[Evaluation],
    n_leaders: int,
) -> _Entrants:
    """Choose who races; prefixes that the search has not met are measured as it would have."""
    n_genes = problem.n_genes
    measured = recorded.measure(
        RACE_PHASE,
        [Candidate(genome, problem.search_fidelity, arm=arm) for genome in prefixes(n_genes)],
    )
    leading_prefixes = [standing.genome for standing in rank(measured)][:n_leaders]
    leaders = [standing.genome for standing in rank(found)][:n_leaders]
    pure = [keep_all(n_genes), transfer_all(n_genes)]
    genomes = dict.fromkeys([*leaders, *pure, *leading_prefixes])
    return _Entrants(tuple(genomes), tuple(leading_prefixes))


def _long_heat(
    recorded: RecordedEvaluator,
    arm: Arm,
    entrants: _Entrants,
    options: RaceOptions,
    final: FinalOptions,
) -> list[Standing]:
    """Rank the entrants at full length, each at its own best learning rate."""
    arms = final.arms(arm)
    evaluations = recorded.measure(
        RACE_PHASE,
        [
            Candidate(genome, final.steps, RACE_REPLICATE + replicate, own_arm)
            for replicate in range(options.full_length_replicates)
            for own_arm in arms
            for genome in entrants.genomes
        ],
    )
    return [contender.standing for contender in at_own_best_arm(evaluations, arms)]


def _noise(evaluations: Sequence[Evaluation], n_replicates: int) -> Noise:
    """Split the variance of (replicate, mask) scores: two-way layout with one observation per cell."""
    by_replicate = np.array(
        [np.nan if e.fitness is None else e.fitness for e in evaluations], dtype=np.float64
    ).reshape(n_replicates, -1)
    scores = by_replicate[:, ~np.isnan(by_replicate).any(axis=0)]
    n_replicates, n_masks = scores.shape
    if n_replicates < 2 or n_masks < 2:
        return Noise(None, None)
    within_masks = scores - scores.mean(axis=0)
    residuals = within_masks - within_masks.mean(axis=1, keepdims=True)
    degrees = (n_replicates - 1) * (n_masks - 1)
    return Noise(
        total=float(np.sqrt((within_masks**2).sum() / ((n_replicates - 1) * n_masks))),
        paired=float(np.sqrt((residuals**2).sum() / degrees)),
    )
