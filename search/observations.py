"""What an optimizer has seen: the evaluations of its masks as arrays, and which replicate a mask may use next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from search.evaluation import SEARCH_REPLICATE, UNTRAINED, Candidate, Evaluation
from search.genome import Genome
from search.untrained import UntrainedLosses

BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class Observations:
    """Measured fitness by mask and replicate, in the order told; failures are kept apart.

    So is what masks score ``untrained``, which is no fitness and counts as no evaluation.  Not thread safe.

    Attributes:
        untrained: Losses of masks as grafted.
        tells_losses: Whether any evaluation came with its loss.
    """

    def __init__(self, evaluations: Iterable[Evaluation] = ()) -> None:
        """Start with what is known."""
        self._genomes: list[Genome] = []
        self._replicates: list[int] = []
        self._fitness: list[float] = []
        self._failed: dict[Genome, None] = {}
        self._n_told = 0
        self._next_replicate: Counter[Genome] = Counter()
        self.untrained = UntrainedLosses()
        self.tells_losses = False
        self.add(evaluations)

    def add(self, evaluations: Iterable[Evaluation]) -> None:
        """Take in what was measured, or failed."""
        for evaluation in evaluations:
            if evaluation.candidate.fidelity == UNTRAINED:
                self.untrained.add(evaluation)
                continue
            self._n_told += 1
            self.tells_losses = self.tells_losses or evaluation.loss is not None
            genome = evaluation.candidate.genome
            # What somebody else has asked for counts as asked.
            used = evaluation.candidate.replicate - SEARCH_REPLICATE + 1
            self._next_replicate[genome] = max(self._next_replicate[genome], used)
            if evaluation.fitness is None:
                self._failed[genome] = None
                continue
            self._genomes.append(genome)
            self._replicates.append(evaluation.candidate.replicate)
            self._fitness.append(evaluation.fitness)

    def __len__(self) -> int:
        """Number of fitness values."""
        return len(self._fitness)

    def last(self, count: int) -> Observations:
        """The fitness values told last, at most so many, as observations of their own that nothing is asked of."""
        if len(self) <= count:
            return self
        recent = Observations()
        recent._genomes = self._genomes[-count:]
        recent._replicates = self._replicates[-count:]
        recent._fitness = self._fitness[-count:]
        recent.untrained = self.untrained
        return recent

    @property
    def masks(self) -> BoolArray:
        """``(N, G)``: the mask of each fitness value; needs at least one."""
        return masks_of(self._genomes)

    @property
    def replicates(self) -> IntArray:
        """``(N,)``: the replicate of each fitness value."""
        return np.array(self._replicates, dtype=np.int64)

    @property
    def fitness(self) -> FloatArray:
        """``(N,)``: higher is better."""
        return np.array(self._fitness, dtype=np.float64)

    @property
    def genomes(self) -> list[Genome]:
        """The different masks that have a fitness value, in the order first told."""
        return [genome for genome in dict.fromkeys(self._genomes) if genome not in self._failed]

    @property
    def failed(self) -> list[Genome]:
        """Masks of which an evaluation failed."""
        return list(self._failed)

    def means(self) -> dict[Genome, float]:
        """Mean fitness of each different mask, in the order first told; masks that failed are left out."""
        values: dict[Genome, list[float]] = {genome: [] for genome in self.genomes}
        for genome, fitness in zip(self._genomes, self._fitness, strict=True):
            if genome in values:
                values[genome].append(fitness)
        return {genome: sum(own) / len(own) for genome, own in values.items()}

    def candidates(self, genomes: Sequence[Genome], fidelity: int) -> list[Candidate]:
        """Ask for masks: one that was never asked for at replicate 0, others at their next unused replicate."""
        asked = []
        for genome in genomes:
            replicate = SEARCH_REPLICATE + self._next_replicate[genome]
            self._next_replicate[genome] += 1
            asked.append(Candidate(genome, fidelity, replicate))
        return asked

    @property
    def n_told(self) -> int:
        """Number of evaluations taken in, failures included."""
        return self._n_told

    @property
    def n_asked(self) -> int:
        """Number of different masks that ``candidates`` has asked for."""
        return len(self._next_replicate)

    def was_asked(self, genome: Genome) -> bool:
        """Whether ``candidates`` has ever asked for a mask."""
        return genome in self._next_replicate


def masks_of(genomes: Sequence[Genome]) -> BoolArray:
    """Give masks as an array, ``(M, G)``; needs at least one."""
    return np.array([genome.keeps for genome in genomes], dtype=np.bool_)


def evenly_spaced(evaluations: Sequence[Evaluation], at_most: int) -> Sequence[Evaluation]:
    """Thin evaluations out to at most so many, evenly in time, so that no kind of mask is preferred."""
    step = max(1, -(-len(evaluations) // at_most))
    return evaluations[::step]
