"""Breeding masks with DEAP's operators: tournament selection, crossover, bit-flip mutation.

References: Syswerda, "Uniform Crossover in Genetic Algorithms", ICGA 1989; linkage learned from a model as in Thierens,
"The Linkage Tree Genetic Algorithm", PPSN 2010, here drawn gene by gene instead of from a tree.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from deap import base, tools

from search.genome import Genome
from search.global_random import GlobalRandomStream
from search.observations import FloatArray

# Breeding gives up after so many attempts in a row that gave no new mask, or so many for each mask wanted: where most
# masks are taken, the last ones are not worth the search.
ATTEMPTS = 50
ATTEMPTS_PER_CHILD = 3


class _Fitness(base.Fitness):  # type: ignore[misc]  # DEAP has no annotations
    weights = (1.0,)


class _Individual(list[bool]):
    """A genome as DEAP's operators want it: a mutable list that carries its fitness."""

    def __init__(self, genome: Genome, fitness: float) -> None:
        """Copy the bits."""
        super().__init__(genome.keeps)
        self.fitness = _Fitness((fitness,))


class Breeder:
    """Draws children of parents; the only user of DEAP's operators, and of the stream that they draw from."""

    def __init__(self, tournament_size: int, crossover_probability: float, seed: int) -> None:
        """Set the rates that do not change during a search."""
        self._tournament_size, self._crossover_probability = tournament_size, crossover_probability
        self._stream = GlobalRandomStream(seed)
        self._rng = np.random.default_rng([seed, 1])

    def children(
        self,
        parents: Mapping[Genome, float],
        count: int,
        *,
        mutation_rate: float,
        linkage: FloatArray | None,
        is_taken: Callable[[Genome], bool],
    ) -> list[Genome]:
        """Breed up to ``count`` different masks that nobody has taken; fewer where they are hard to find.

        Args:
            parents: Fitness of each.
            count: How many.
            mutation_rate: Chance that one gene flips.
            linkage: ``(G, G)``, from 0 to 1: chance that a gene follows another to the same child; None for uniform
                crossover.
            is_taken: Whether a mask may not be bred.
        """
        pool = [_Individual(genome, fitness) for genome, fitness in parents.items()]
        bred: dict[Genome, None] = {}
        idle = 0
        with self._stream:
            for _ in range(ATTEMPTS_PER_CHILD * count):
                child = self._child(pool, mutation_rate, linkage)
                is_new = child not in bred and not is_taken(child)
                idle = 0 if is_new else idle + 1
                if is_new:
                    bred[child] = None
                if len(bred) == count or idle == ATTEMPTS:
                    break
        return list(bred)

    def _child(
        self, pool: Sequence[_Individual], mutation_rate: float, linkage: FloatArray | None
    ) -> Genome:
        mother, father = tools.selTournament(pool, 2, self._tournament_size)
        child, other = list(mother), list(father)
        if self._rng.random() < self._crossover_probability:
            if linkage is None:
                tools.cxUniform(child, other, indpb=0.5)
            else:
                child = self._linked(child, other, linkage)
        tools.mutFlipBit(child, indpb=mutation_rate)
        return Genome.from_bits(child)

    def _linked(
        self, mother: Sequence[bool], father: Sequence[bool], linkage: FloatArray
    ) -> list[bool]:
        """Mix two parents; a gene follows the gene to which it is linked most among those already decided."""
        n_genes = len(mother)
        order = self._rng.permutation(n_genes)
        from_father = self._rng.random(n_genes) < 0.5
        follows = self._rng.random(n_genes)
        for place in range(1, n_genes):
            gene, decided = order[place], order[:place]
            leader = decided[int(np.argmax(linkage[gene, decided]))]
            if follows[place] < linkage[gene, leader]:
                from_father[gene] = from_father[leader]
        return [
            bool(f if take else m) for m, f, take in zip(mother, father, from_father, strict=True)
        ]
