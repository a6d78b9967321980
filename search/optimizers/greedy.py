"""Greedy forward and backward selection: the best single change, round after round.

Reference: Kaplun et al., "SubTuning: Efficient Finetuning for Multi-Task Learning", arXiv 2302.06354: grow the set of
chosen layers one by one, starting from all or from none.  Here every round tries both directions, keeping one gene more
and transferring one gene more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from search.evaluation import Candidate, Evaluation
from search.genome import Genome, keep_all, transfer_all
from search.observations import Observations
from search.optimizer import OPTIMIZERS, OptimizerConfig, SearchProblem


class GreedyConfig(OptimizerConfig):
    """Options of a search by greedy selection."""

    kind: Literal["greedy"] = "greedy"
    start: Literal["best", "keep_all", "transfer_all"] = Field(
        "best", description="the pure mask to start from; best: the one that measured better"
    )
    tolerance: float = Field(
        0.0, ge=0, le=1e6, description="fitness that a change must gain to be taken"
    )

    def batch_within(self, problem: SearchProblem) -> int:
        """All neighbours of a mask."""
        return problem.n_genes


@OPTIMIZERS.register(GreedyConfig)
class Greedy:
    """Climbs from one mask after another: both pure ones, then the best one from which it has not climbed yet."""

    def __init__(self, config: GreedyConfig, problem: SearchProblem, seed: int) -> None:  # noqa: ARG002
        """Bind the options to one problem; the seed changes nothing."""
        self._config, self._problem = config, problem
        self._pure = (keep_all(problem.n_genes), transfer_all(problem.n_genes))
        self._seen = Observations()
        self._current: Genome | None = None
        self._climbed_from: set[Genome] = set()

    def ask(self) -> list[Candidate]:
        """Propose both pure masks, then the neighbours of where the climb stands; empty when all masks were asked."""
        unknown = [genome for genome in self._pure if not self._seen.was_asked(genome)]
        while not unknown:
            place = self._next_place()
            if place is None:
                return []
            self._current = place
            self._climbed_from.add(place)
            unknown = [
                neighbour
                for neighbour in map(place.flipped, range(self._problem.n_genes))
                if not self._seen.was_asked(neighbour)
            ]
        return self._seen.candidates(unknown, self._problem.search_fidelity)

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Take in the measured round."""
        self._seen.add(evaluations)

    def _next_place(self) -> Genome | None:
        """Where to climb next: the best neighbour if it is better, else a new start."""
        fitness = self._seen.means()
        if self._current is None:
            return self._first_start(fitness)
        neighbours = map(self._current.flipped, range(self._problem.n_genes))
        best = max(neighbours, key=lambda genome: fitness.get(genome, float("-inf")))
        here = fitness.get(self._current, float("-inf"))
        if (
            fitness.get(best, float("-inf")) > here + self._config.tolerance
            and best not in self._climbed_from
        ):
            return best
        starts = [*self._pure, *sorted(fitness, key=lambda g: (-fitness[g], g.bitstring))]
        starts += self._seen.failed
        return next((genome for genome in starts if genome not in self._climbed_from), None)

    def _first_start(self, fitness: dict[Genome, float]) -> Genome:
        own, source = self._pure
        if self._config.start != "best":
            return own if self._config.start == "keep_all" else source
        return max(self._pure, key=lambda genome: fitness.get(genome, float("-inf")))
