"""Genetic algorithm: DEAP's operators inside ask and tell.

Tournament selection, uniform crossover and bit-flip mutation at 1/n with elitism: the combination that holds up
best among simple ones when fitness is noisy.  Reference for the rates: Baeck, "Evolutionary Algorithms in Theory
and Practice", Oxford 1996, ch. 2 (mutation rate 1/n); Syswerda, "Uniform Crossover in Genetic Algorithms", ICGA 1989.

The first generation also holds what everybody would try by hand: keep-all, transfer-all and every prefix (evenly
spaced ones, where they would take more than a quarter of the budget).  No mask is proposed twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from deap import base, tools
from pydantic import Field, model_validator

from search.evaluation import Candidate, Evaluation
from search.genome import Genome, keep_all, prefixes, transfer_all
from search.global_random import GlobalRandomStream
from search.optimizer import OPTIMIZERS, OptimizerConfig, SearchProblem

# Attempts to breed a mask that is new before a random unseen neighbour is taken instead.
BREEDING_ATTEMPTS = 20


class GeneticConfig(OptimizerConfig):
    """Options of a search by genetic algorithm."""

    kind: Literal["genetic"] = "genetic"
    population_size: int = Field(24, ge=4, le=4096, description="masks bred per generation")
    elites: int = Field(
        4, ge=0, description="best masks that survive into the next generation's parents"
    )
    tournament_size: int = Field(
        3, ge=2, le=64, description="masks that compete to become one parent"
    )
    crossover_probability: float = Field(
        0.9, ge=0, le=1, description="chance that two parents are mixed"
    )
    mutation_rate: float | None = Field(
        None, gt=0, le=1, description="chance that one gene flips; 1 / number of genes if null"
    )

    @model_validator(mode="after")
    def _leaves_room_for_offspring(self) -> GeneticConfig:
        if self.elites >= self.population_size:
            raise ValueError(
                f"elites ({self.elites}) must be fewer than population_size ({self.population_size})"
            )
        return self


class _Fitness(base.Fitness):  # type: ignore[misc]  # DEAP has no annotations
    weights = (1.0,)


class _Individual(list[bool]):
    """A genome as DEAP's operators want it: a mutable list that carries its fitness."""

    def __init__(self, keeps: Sequence[bool]) -> None:
        """Copy the bits; the fitness starts unmeasured."""
        super().__init__(keeps)
        self.fitness = _Fitness()


@OPTIMIZERS.register(GeneticConfig)
class Genetic:
    """Breeds each generation from the measured one before it."""

    def __init__(self, config: GeneticConfig, problem: SearchProblem, seed: int) -> None:
        """Bind the options to one problem and one seed."""
        self._config, self._problem = config, problem
        self._rng = np.random.default_rng(seed)
        self._stream = GlobalRandomStream(seed)
        self._mutation_rate = config.mutation_rate or 1 / problem.n_genes
        self._parents: list[_Individual] = []
        self._proposed: set[Genome] = set()

    def ask(self) -> list[Candidate]:
        """Propose one generation of new masks; empty once every mask has been proposed."""
        genomes = self._offspring() if self._parents else self._first_generation()
        self._proposed.update(genomes)
        return [Candidate(genome, self._problem.search_fidelity) for genome in genomes]

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Make the measured masks, and the elites before them, the next parents."""
        elites = tools.selBest(self._parents, self._config.elites)
        measured = []
        for evaluation in evaluations:
            if evaluation.fitness is not None:
                individual = _Individual(evaluation.candidate.genome.keeps)
                individual.fitness.values = (evaluation.fitness,)
                measured.append(individual)
        self._parents = [*elites, *measured]

    def _first_generation(self) -> list[Genome]:
        """Keep-all, transfer-all and every prefix, filled up with random masks.

        Asked again only when a whole generation has failed; the structured masks are then known.
        """
        n_genes = self._problem.n_genes
        # With many genes the prefixes would leave no budget to breed with.
        at_most = max(1, self._problem.budget_evaluations // 4)
        structured = [keep_all(n_genes), transfer_all(n_genes), *prefixes(n_genes, at_most)]
        genomes = [genome for genome in dict.fromkeys(structured) if genome not in self._proposed]
        while len(genomes) < self._config.population_size:
            genome = self._unseen(Genome.from_bits(self._rng.random(n_genes) < 0.5), genomes)
            if genome is None:
                break
            genomes.append(genome)
        return genomes

    def _offspring(self) -> list[Genome]:
        genomes: list[Genome] = []
        while len(genomes) < self._config.population_size:
            genome = self._bred(genomes)
            if genome is None:
                break
            genomes.append(genome)
        return genomes

    def _bred(self, siblings: list[Genome]) -> Genome | None:
        """Give one child that nobody has proposed; None once there is no such mask."""
        child = Genome(tuple(self._parents[0]))
        for _ in range(BREEDING_ATTEMPTS):
            child = self._child()
            if child not in self._proposed and child not in siblings:
                return child
        return self._unseen(child, siblings)

    def _child(self) -> Genome:
        with self._stream:
            winners = tools.selTournament(self._parents, 2, self._config.tournament_size)
            # One copy per winner: a tournament may pick one individual twice, and the operators below change
            # their arguments in place.
            mother, father = (_Individual(winner) for winner in winners)
            if self._rng.random() < self._config.crossover_probability:
                tools.cxUniform(mother, father, indpb=0.5)
            tools.mutFlipBit(mother, indpb=self._mutation_rate)
        return Genome.from_bits(mother)

    def _unseen(self, genome: Genome, siblings: list[Genome]) -> Genome | None:
        """Walk from ``genome`` by random flips to a mask that nobody has proposed; None if there is none."""
        if len(self._proposed.union(siblings)) >= 2.0**self._problem.n_genes:
            return None
        while genome in self._proposed or genome in siblings:
            genome = genome.flipped(int(self._rng.integers(self._problem.n_genes)))
        return genome
