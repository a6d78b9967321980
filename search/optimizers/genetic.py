"""Genetic algorithm whose offspring a surrogate screens.

DEAP's operators breed many more masks than can be afforded; a model of all evaluations so far chooses which of them to
measure, and its expectation, not one noisy score, decides who becomes a parent.  On noisy problems of 10 to 200 genes
and a few hundred evaluations this is among the strongest searches known: Jin, "Surrogate-assisted evolutionary
computation", Swarm and Evolutionary Computation 1 (2011); benchmarks/search_quality has the comparison.  Reference for
the mutation rate 1/n: Baeck, "Evolutionary Algorithms in Theory and Practice", Oxford 1996, ch. 2.

The first generation holds what everybody would try by hand, filled up with random masks.  Of every later one a
shortlist is measured untrained before it is chosen from, and on it the parents compete with their offspring, to be
measured again at replicates that are new to them; in the last one they are among themselves, for a mask that is found
then could not be told from luck any more.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from search.evaluation import Candidate, Evaluation
from search.genome import Genome
from search.observations import FloatArray, Observations, masks_of
from search.optimizer import OPTIMIZERS, SearchProblem
from search.proposing.acquisition import choose_next
from search.proposing.breeding import Breeder
from search.proposing.contest import last_contest
from search.proposing.first_batch import FirstBatchConfig, first_masks
from search.proposing.linkage import linkage_of
from search.proposing.shortlist import Shortlist, ShortlistConfig, ShortlistedBatches
from search.proposing.unseen import filled_up
from search.surrogate import SURROGATES, Fit, FittedSurrogate
from search.surrogates.gaussian_process import GaussianProcessConfig

# A generation that finds nothing better raises the mutation rate by this factor, a success takes it back.
MUTATION_GROWTH = 1.5
# Times 1 / number of genes.
HIGHEST_MUTATION = 4.0
# Offspring that compete to be measured, beyond as many as will be; bounds the work, which grows with the square.
MOST_IN_QUESTION = 128


class GeneticConfig(ShortlistConfig, FirstBatchConfig):
    """Options of a search by genetic algorithm."""

    kind: Literal["genetic"] = "genetic"
    population_size: int = Field(
        16,
        ge=4,
        le=4096,
        description="masks measured per generation; at most an eighth of the budget",
    )
    parents: int = Field(12, ge=2, le=4096, description="best masks so far that may become parents")
    reevaluations: int = Field(
        0,
        ge=0,
        description="of each generation, leaders measured again at a new replicate whatever the model says",
    )
    tournament_size: int = Field(
        3, ge=2, le=64, description="masks that compete to become one parent"
    )
    crossover: Literal["uniform", "linkage"] = Field(
        "uniform",
        description="how parents are mixed: every gene for itself, or genes that act together kept together",
    )
    crossover_probability: float = Field(
        0.9, ge=0, le=1, description="chance that two parents are mixed"
    )
    mutation_rate: float | None = Field(
        None,
        gt=0,
        le=1,
        description="chance that one gene flips; from 1 to 4 / number of genes, by success, if null",
    )
    surrogate: SURROGATES.union() | None = Field(  # type: ignore[valid-type]
        GaussianProcessConfig(), description="model that screens offspring; none if null"
    )
    screening_factor: int = Field(
        8,
        ge=1,
        le=1000,
        description="masks bred in every generation on the surrogate for each one measured",
    )
    model_generations: int = Field(
        3,
        ge=1,
        le=1000,
        description="generations that the surrogate alone judges before one is measured",
    )
    optimism: float = Field(
        4.0,
        ge=0,
        le=100,
        description="standard deviations of the surrogate's doubt that speak for a mask, at first",
    )
    final_optimism: float = Field(
        2.0,
        ge=0,
        le=100,
        description="the same when the budget is spent; in between it falls evenly",
    )

    def looks_per_training(self, problem: SearchProblem) -> float:
        """None without a surrogate, which is all that learns from them."""
        return 0.0 if self.surrogate is None else super().looks_per_training(problem)

    def batch_within(self, problem: SearchProblem) -> int:
        """A generation."""
        return self.part_of_budget(self.population_size, problem)

    @model_validator(mode="after")
    def _leaves_room_for_offspring(self) -> GeneticConfig:
        if self.reevaluations >= self.population_size:
            raise ValueError(
                f"reevaluations ({self.reevaluations}) must be fewer than population_size "
                f"({self.population_size})"
            )
        return self


@OPTIMIZERS.register(GeneticConfig)
class Genetic:
    """Breeds each generation from the best masks so far."""

    def __init__(self, config: GeneticConfig, problem: SearchProblem, seed: int) -> None:
        """Bind the options to one problem and one seed."""
        self._config, self._problem = config, problem
        self._rng = np.random.default_rng(seed)
        self._breeder = Breeder(config.tournament_size, config.crossover_probability, seed)
        self._size = config.batch_within(problem)
        self._seen = Observations()
        self._surrogate = FittedSurrogate(config.surrogate, self._seen, seed)
        self._batches = ShortlistedBatches(problem, self._seen, config.looks_per_training(problem))
        self._mutation_factor, self._best = 1.0, float("-inf")

    def ask(self) -> list[Candidate]:
        """Propose one generation, or its shortlist untrained; empty once every mask has been proposed."""
        if self._seen.genomes:
            return self._batches.ask(self._next_shortlist, self._chosen)
        genomes = first_masks(self._config, self._problem, self._seen, self._rng)
        return self._seen.candidates(genomes, self._problem.search_fidelity)

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Take in the measured generation."""
        self._seen.add(evaluations)

    def _next_shortlist(self) -> Shortlist:
        expected = self._seen.means()
        fit = self._surrogate.fit()
        if fit is not None:
            genomes = list(expected)
            means = fit.expect(masks_of(genomes))
            expected = dict(zip(genomes, means.tolist(), strict=True))
        self._adapt(expected)
        ranked = [genome for genome, _ in sorted(expected.items(), key=_by_score)]
        again = ranked[: min(self._config.reevaluations, self._size - 1)]
        parents = {genome: expected[genome] for genome in ranked[: self._config.parents]}
        wanted = self._size - len(again)
        return Shortlist(again, self._in_question(parents, wanted, fit), wanted)

    def _in_question(
        self, parents: dict[Genome, float], wanted: int, fit: Fit | None
    ) -> list[Genome]:
        if fit is None:
            return self._filled_up(self._bred(parents, wanted, None, {}), wanted)
        in_doubt = last_contest(fit, list(parents), wanted) if self._is_last_generation else []
        if in_doubt:
            return in_doubt
        bred = self._evolved(parents, wanted * self._config.screening_factor, fit)
        if len(bred) <= wanted:
            return self._filled_up(bred, wanted)
        most = self._batches.most_new_masks(wanted, wanted + MOST_IN_QUESTION)
        # A parent measured again may tell more than a mask that is new.
        return [*bred[:most], *parents]

    def _chosen(self, genomes: Sequence[Genome], wanted: int) -> Sequence[Genome]:
        fit = self._surrogate.fit()
        return genomes if fit is None else choose_next(fit, genomes, wanted, self._optimism())

    def _evolved(self, parents: dict[Genome, float], size: int, fit: Fit) -> list[Genome]:
        """Let the surrogate alone judge some generations; give the best ``size`` masks of them all."""
        pool, bred = parents, dict[Genome, float]()
        optimism = self._optimism()
        for _ in range(self._config.model_generations):
            children = self._bred(pool, size, fit, bred)
            if not children:
                break
            belief = fit.believe(masks_of(children))
            credit = belief.mean + optimism * belief.deviation
            bred |= dict(zip(children, credit.tolist(), strict=True))
            pool = dict(sorted((pool | bred).items(), key=_by_score)[: self._config.parents])
        return [genome for genome, _ in sorted(bred.items(), key=_by_score)[:size]]

    def _bred(
        self,
        parents: dict[Genome, float],
        count: int,
        fit: Fit | None,
        taken: Container[Genome],
    ) -> list[Genome]:
        return self._breeder.children(
            parents,
            count,
            mutation_rate=self._mutation_rate(),
            linkage=self._linkage(fit),
            is_taken=lambda genome: genome in taken or self._seen.was_asked(genome),
        )

    def _linkage(self, fit: Fit | None) -> FloatArray | None:
        return None if self._config.crossover == "uniform" else linkage_of(fit, self._problem)

    def _optimism(self) -> float:
        """Curiosity pays while there is budget left to use what it finds; what is measured last should be the best."""
        first, last = self._config.optimism, self._config.final_optimism
        return first + (last - first) * min(
            1.0, self._seen.n_told / self._problem.budget_evaluations
        )

    @property
    def _is_last_generation(self) -> bool:
        return self._problem.budget_evaluations - self._seen.n_told <= self._size

    def _mutation_rate(self) -> float:
        if self._config.mutation_rate is not None:
            return self._config.mutation_rate
        return min(0.5, self._mutation_factor / self._problem.n_genes)

    def _adapt(self, expected: dict[Genome, float]) -> None:
        """Search wider where the last generation brought nothing better (Rechenberg's success rule, one step)."""
        best = max(expected.values())
        if best > self._best:
            self._mutation_factor = max(1.0, self._mutation_factor / MUTATION_GROWTH)
        else:
            self._mutation_factor = min(HIGHEST_MUTATION, self._mutation_factor * MUTATION_GROWTH)
        self._best = best

    def _filled_up(self, genomes: list[Genome], count: int) -> list[Genome]:
        return filled_up(genomes, count, self._seen, self._problem.n_genes, self._rng)


def _by_score(scored: tuple[Genome, float]) -> tuple[float, str]:
    """Sorts the best first, and never leaves the order of two masks to chance."""
    genome, score = scored
    return -score, genome.bitstring
