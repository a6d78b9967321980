"""The short heat of the race: everyone again at the search fidelity, replicate by replicate, clear losers dropped.

What leads after a brief training says little about the end (docs/decisions/0009-long-heat.md), so this heat measures
the noise and drops only what is clearly worse than the best of its own kind.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scipy.special import stdtrit

from search.evaluation import RACE_REPLICATE, Arm, Candidate, Evaluation
from search.genome import Genome
from search.race.field import Field
from search.race.noise import Noise, measure_noise
from search.race.ranking import Standing, rank
from search.recorded import RecordedEvaluator

RACE_PHASE = "race"
# Chance, over all entrants and all looks together, that the truly best mask of a kind is dropped.
DROP_ERROR = 0.05
# A paired test needs a spread, and a spread needs two replicates.
FIRST_LOOK = 2


@dataclass(frozen=True, slots=True)
class ShortHeat:
    """What is left of the field, and what was measured on the way.

    Attributes:
        field: Who goes on.
        standings: Those of ``field`` by mean fitness over all replicates, best first; failed ones are left out.
        noise: Of one evaluation at search fidelity.
    """

    field: Field
    standings: tuple[Standing, ...]
    noise: Noise


def run_short_heat(
    recorded: RecordedEvaluator,
    field: Field,
    candidate: Callable[[Genome, int], Candidate],
    *,
    replicates: int,
    at_least: int,
) -> ShortHeat:
    """Measure the field at one fresh replicate after another.

    From the second on, a mask is dropped where a paired t test against the best of its kind finds it worse.  The test
    uses the residual spread of all masks together; its level is ``DROP_ERROR`` over all pairs and looks (Bonferroni),
    so the truly best of a kind is dropped in at most 5 of 100 races.  A mask that fails is dropped at once.

    Args:
        recorded: Measures.
        field: Who starts.
        candidate: Makes the candidate of a mask at the heat's replicate 0, 1, ...
        replicates: Rounds.
        at_least: Masks, and prefixes, that stay whatever the test says; the best ones.
    """
    first = field
    evaluations: list[Evaluation] = []
    for number in range(replicates):
        evaluations += recorded.measure(
            RACE_PHASE, [candidate(genome, number) for genome in field.genomes]
        )
        field = field.only({s.genome for s in rank(evaluations)} | set(field.pure))
        if number + 1 >= FIRST_LOOK:
            test = _Test(
                rank(evaluations),
                measure_noise(evaluations),
                n_replicates=number + 1,
                n_tests=max(1, len(first.genomes) * (replicates - FIRST_LOOK + 1)),
                at_least=at_least,
            )
            field = field.narrowed(test.survivors)
    standings = tuple(s for s in rank(evaluations) if s.genome in field.genomes)
    return ShortHeat(field, standings, measure_noise(evaluations))


def brief_candidate(fidelity: int, arm: Arm) -> Callable[[Genome, int], Candidate]:
    """Candidates of the short heat: the search's fidelity and recipe, at the race's own replicates."""

    def candidate(genome: Genome, number: int) -> Candidate:
        return Candidate(genome, fidelity, RACE_REPLICATE + number, arm)

    return candidate


@dataclass(frozen=True, slots=True)
class _Test:
    """One look at the standings."""

    standings: Sequence[Standing]
    noise: Noise
    n_replicates: int
    n_tests: int
    at_least: int

    def survivors(self, genomes: Sequence[Genome]) -> list[Genome]:
        """Those of one kind that are not clearly worse than its best; best first."""
        own = [standing for standing in self.standings if standing.genome in set(genomes)]
        margin = self._margin()
        return [
            standing.genome
            for place, standing in enumerate(own)
            if place < self.at_least or own[0].fitness - standing.fitness <= margin
        ]

    def _margin(self) -> float:
        """Difference of two means from which on it is no chance."""
        if self.noise.paired is None:
            return math.inf
        quantile = -float(stdtrit(self.noise.degrees, DROP_ERROR / self.n_tests))
        return quantile * self.noise.paired * math.sqrt(2 / self.n_replicates)
