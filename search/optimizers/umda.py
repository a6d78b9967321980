"""Univariate marginal distribution algorithm: learn how often each gene is kept among the better half.

References: Muehlenbein and Paass, "From Recombination of Genes to the Estimation of Distributions", PPSN 1996; among
the most robust evolutionary algorithms under noise: Aishwaryaprajna and Rowe, Evolutionary Computation 31 (2023).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from search.evaluation import Candidate, Evaluation
from search.genome import Genome, keep_all, transfer_all
from search.observations import FloatArray, Observations
from search.optimizer import OPTIMIZERS, SearchProblem
from search.proposing.rungs import RungedConfig

# Draws of one mask that may be asked for no more, before one is made by flipping genes.
ATTEMPTS = 50


class UmdaConfig(RungedConfig):
    """Options of a search by marginal distributions."""

    kind: Literal["umda"] = "umda"
    population_size: int = Field(20, ge=4, le=4096, description="masks drawn per generation")
    selected: int = Field(
        10, ge=2, le=4096, description="masks from which the next distribution is estimated"
    )
    remembered: int = Field(
        2, ge=1, le=1000, description="last generations among which they are selected"
    )
    most_replicates: int = Field(
        3, ge=1, le=1000, description="times that one mask is measured, where it is drawn again"
    )

    @model_validator(mode="after")
    def _selects(self) -> UmdaConfig:
        if self.selected >= self.population_size:
            raise ValueError(
                f"selected ({self.selected}) must be fewer than population_size ({self.population_size})"
            )
        return self

    def batch_within(self, problem: SearchProblem) -> int:  # noqa: ARG002 - whatever the problem
        """A generation."""
        return self.population_size


@OPTIMIZERS.register(UmdaConfig)
class Umda:
    """Draws every gene from its own probability, 1/n to 1 - 1/n."""

    def __init__(self, config: UmdaConfig, problem: SearchProblem, seed: int) -> None:
        """Bind the options to one problem and one seed; every gene starts at one half."""
        self._config, self._problem = config, problem
        self._rng = np.random.default_rng(seed)
        self._seen = Observations()
        self._asked = Counter[Genome]()
        self._generations: list[list[Genome]] = []

    def ask(self) -> list[Candidate]:
        """Propose one generation; empty once every mask was measured as often as allowed."""
        n_genes, size = self._problem.n_genes, self._config.population_size
        keep_probabilities = self._keep_probabilities()
        drawn: list[Genome] = []
        if not self._asked:
            drawn = [keep_all(n_genes), transfer_all(n_genes)]
            self._asked.update(drawn)
        n_left = self._config.most_replicates * 2**n_genes - self._asked.total()
        for _ in range(min(size - len(drawn), n_left)):
            genome = self._drawn(keep_probabilities)
            self._asked[genome] += 1
            drawn.append(genome)
        return self._seen.candidates(drawn, self._problem.search_fidelity)

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Take in the measured generation."""
        self._seen.add(evaluations)
        self._generations.append([evaluation.candidate.genome for evaluation in evaluations])

    def _keep_probabilities(self) -> FloatArray:
        """Share of each gene among the selected masks; a mask drawn several times counts as often."""
        n_genes, fitness = self._problem.n_genes, self._seen.means()
        recent = [g for own in self._generations[-self._config.remembered :] for g in own]
        ranked = sorted(
            (genome for genome in recent if genome in fitness), key=lambda g: -fitness[g]
        )
        if not ranked:
            return np.full(n_genes, 0.5)
        shares = np.array([g.keeps for g in ranked[: self._config.selected]]).mean(axis=0)
        margin = min(0.5, 1 / n_genes)
        clipped: FloatArray = np.clip(shares, margin, 1 - margin)
        return clipped

    def _drawn(self, keep_probabilities: FloatArray) -> Genome:
        """Draw a mask that may still be measured."""
        n_genes = self._problem.n_genes
        for _ in range(ATTEMPTS):
            genome = Genome.from_bits(self._rng.random(n_genes) < keep_probabilities)
            if self._may_be_asked(genome):
                return genome
        while not self._may_be_asked(genome):
            genome = genome.flipped(int(self._rng.integers(n_genes)))
        return genome

    def _may_be_asked(self, genome: Genome) -> bool:
        return self._asked[genome] < self._config.most_replicates
