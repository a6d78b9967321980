"""Which mask stands where, from evaluations at several replicates."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from search.evaluation import Evaluation
from search.genome import Genome


@dataclass(frozen=True, slots=True)
class Standing:
    """One mask's mean over its evaluations; a mask that failed at any replicate has no standing.

    Attributes:
        genome: The mask.
        fitness: Mean fitness.
        loss: Mean validation loss, which decides between equal fitness; infinite where it is unknown.
    """

    genome: Genome
    fitness: float
    loss: float

    @property
    def order(self) -> tuple[float, float, str]:
        """Sorts the best first, and never leaves the order of two masks to chance."""
        return (-self.fitness, self.loss, self.genome.bitstring)


def rank(evaluations: Iterable[Evaluation]) -> list[Standing]:
    """Rank masks by mean fitness, the best first; masks with a failed evaluation are left out."""
    by_genome: dict[Genome, list[Evaluation]] = defaultdict(list)
    for evaluation in evaluations:
        by_genome[evaluation.candidate.genome].append(evaluation)
    standings = []
    for genome, measured in by_genome.items():
        fitness = [evaluation.fitness for evaluation in measured if evaluation.fitness is not None]
        losses = [evaluation.loss for evaluation in measured if evaluation.loss is not None]
        if len(fitness) == len(measured):
            loss = sum(losses) / len(losses) if losses else float("inf")
            standings.append(Standing(genome, sum(fitness) / len(fitness), loss))
    return sorted(standings, key=lambda standing: standing.order)
