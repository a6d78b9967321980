"""Bayesian optimization: a surrogate of all evaluations so far says where the next batch is worth most.

Masks are sought by steepest ascent over single flips on mean + optimism x deviation; the batch is chosen from what the
ascents found, from mutated leaders, from random masks, and from the leaders themselves, to be measured again.  The last
batch is for leaders alone.
References: Srinivas et al., "Gaussian Process Optimization in the Bandit Setting", ICML 2010 (upper confidence bounds);
Desautels, Krause and Burdick, JMLR 15 (2014) (batches); Kandasamy et al., "Parallelised Bayesian Optimisation via
Thompson Sampling", AISTATS 2018.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import numpy as np
from pydantic import Field

from search.evaluation import Candidate, Evaluation
from search.genome import Genome
from search.observations import Observations, masks_of
from search.optimizer import OPTIMIZERS, SearchProblem
from search.proposing.acquisition import choose_batch, choose_by_samples, choose_next
from search.proposing.ascent import ascend
from search.proposing.contest import last_contest
from search.proposing.first_batch import FirstBatchConfig, first_masks
from search.proposing.knowledge import choose_by_knowledge
from search.proposing.shortlist import (
    UNTRAINED_FACTOR,
    Shortlist,
    ShortlistConfig,
    ShortlistedBatches,
)
from search.proposing.unseen import filled_up
from search.surrogate import SURROGATES, Fit, FittedSurrogate
from search.surrogates.gaussian_process import GaussianProcessConfig

# Masks from which a batch is chosen, for each one chosen; bounds the work, which grows with its square.
POOL_FACTOR = 12
# Of the pool: masks that differ from a leader in a few genes, and masks drawn at random.
MUTATED_SHARE, RANDOM_SHARE = 0.3, 0.1
# Genes in which a mutated leader differs, on average.
MUTATIONS = 2.0
# Measured masks that compete for another measurement.
CONTENDERS = 12


class BayesianConfig(ShortlistConfig, FirstBatchConfig):
    """Options of a search by Bayesian optimization."""

    kind: Literal["bayesian"] = "bayesian"
    batch_size: int = Field(
        16,
        ge=1,
        le=4096,
        description="candidates asked for at once; at most an eighth of the budget",
    )
    surrogate: SURROGATES.union() = Field(  # type: ignore[valid-type]
        GaussianProcessConfig(), description="model of the evaluations"
    )
    acquisition: Literal["adaptive", "ucb", "knowledge_gradient", "thompson"] = Field(
        "adaptive",
        description="how a batch is chosen: by an upper confidence bound on expectation, by how much a measurement "
        "would tell, by the first or second as the landscape is smooth or rugged, or each as the best of a sample",
    )
    optimism: float = Field(
        1.0, ge=0, le=10, description="standard deviations of doubt that speak for a mask"
    )
    reevaluations: int = Field(
        0,
        ge=0,
        le=4096,
        description="of each batch, leaders measured again at a new replicate whatever the model says",
    )
    untrained_factor: int = Field(POOL_FACTOR, ge=0, le=1000, description=UNTRAINED_FACTOR)
    ascents: int = Field(8, ge=1, le=1000, description="local searches on the model, per batch")

    def batch_within(self, problem: SearchProblem) -> int:
        """A batch; of four masks at least."""
        return self.part_of_budget(self.batch_size, problem)


@OPTIMIZERS.register(BayesianConfig)
class Bayesian:
    """Asks for a first design, then for what its model thinks best."""

    def __init__(self, config: BayesianConfig, problem: SearchProblem, seed: int) -> None:
        """Bind the options to one problem and one seed."""
        self._config, self._problem = config, problem
        self._rng = np.random.default_rng(seed)
        self._size = config.batch_within(problem)
        self._seen = Observations()
        self._surrogate = FittedSurrogate(config.surrogate, self._seen, seed)
        self._batches = ShortlistedBatches(problem, self._seen, config.looks_per_training(problem))

    def ask(self) -> list[Candidate]:
        """Propose one batch, or its shortlist untrained; empty once every mask has been proposed."""
        fit = self._surrogate.fit()
        if fit is not None:
            return self._batches.ask(partial(self._next_shortlist, fit), partial(self._chosen, fit))
        genomes = first_masks(self._config, self._problem, self._seen, self._rng)
        return self._seen.candidates(genomes, self._problem.search_fidelity)

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Take in the measured batch."""
        self._seen.add(evaluations)

    def _next_shortlist(self, fit: Fit) -> Shortlist:
        leaders = self._leaders(fit)
        again = leaders[: min(self._config.reevaluations, self._size - 1)]
        wanted = self._size - len(again)
        if self._problem.budget_evaluations - self._seen.n_told <= self._size:
            in_doubt = last_contest(fit, leaders[:CONTENDERS], wanted)
            if in_doubt:
                return Shortlist(again, in_doubt, wanted)
        size = self._batches.most_new_masks(wanted, POOL_FACTOR * wanted)
        pool = self._pool(fit, leaders, size)
        if len(pool) <= wanted:
            return Shortlist(again, self._filled_up(pool, wanted), wanted)
        # A leader measured again may tell more than a mask that is new.
        return Shortlist(again, [*pool, *leaders[len(again) : CONTENDERS]], wanted)

    def _chosen(self, fit: Fit, contenders: Sequence[Genome], wanted: int) -> list[Genome]:
        optimism = self._config.optimism
        match self._config.acquisition:
            case "adaptive":
                return choose_next(fit, contenders, wanted, optimism)
            case "ucb":
                return choose_batch(fit, contenders, wanted, optimism)
            case "knowledge_gradient":
                return choose_by_knowledge(fit, contenders, wanted)
            case "thompson":
                return choose_by_samples(fit, contenders, wanted, self._rng)

    def _leaders(self, fit: Fit) -> list[Genome]:
        """Measured masks, the best expected first."""
        genomes = self._seen.genomes
        mean = fit.expect(masks_of(genomes))
        return [genomes[index] for index in np.argsort(-mean, kind="stable")]

    def _pool(self, fit: Fit, leaders: Sequence[Genome], size: int) -> list[Genome]:
        """Different masks that nobody has proposed: tops of the ascents and their surroundings first."""
        n_genes = self._problem.n_genes
        n_leading = max(1, self._config.ascents // 2)
        random = self._rng.random((self._config.ascents - n_leading, n_genes)) < 0.5
        starts = np.concatenate([masks_of(leaders[:n_leading]), random])
        climbed = ascend(fit, starts, self._config.optimism)
        n_mutated, n_random = round(MUTATED_SHARE * size), round(RANDOM_SHARE * size)
        parents = np.concatenate([climbed[: self._config.ascents], masks_of(leaders[:n_leading])])
        flips = self._rng.random((n_mutated, n_genes)) < MUTATIONS / n_genes
        mutated = parents[self._rng.integers(len(parents), size=n_mutated)] ^ flips
        drawn = self._rng.random((n_random, n_genes)) < 0.5
        found: dict[Genome, None] = {}
        for rows, end in (
            (climbed, size - n_mutated - n_random),
            (mutated, size - n_random),
            (drawn, size),
        ):
            for genome in map(Genome.from_bits, rows.tolist()):
                if len(found) == end:
                    break
                if not self._seen.was_asked(genome):
                    found[genome] = None
        return list(found)

    def _filled_up(self, genomes: list[Genome], count: int) -> list[Genome]:
        return filled_up(genomes, count, self._seen, self._problem.n_genes, self._rng)
