"""Uniform random search: the baseline every other optimizer has to beat.

Reference: Bergstra and Bengio, "Random Search for Hyper-Parameter Optimization",
JMLR 13 (2012), 281-305.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from search.evaluation import Candidate, Evaluation
from search.genome import Genome
from search.optimizer import OPTIMIZERS, OptimizerConfig, SearchProblem


class RandomSearchConfig(OptimizerConfig):
    """Options of a search that asks for the ``random`` optimizer."""

    kind: Literal["random"] = "random"
    batch_size: int = Field(32, ge=1, le=4096, description="candidates asked for at once")
    keep_probability: float = Field(0.5, ge=0, le=1, description="chance of a 1 per gene")

    def batch_within(self, problem: SearchProblem) -> int:  # noqa: ARG002 - whatever the problem
        """A batch."""
        return self.batch_size


@OPTIMIZERS.register(RandomSearchConfig)
class RandomSearch:
    """Draws every gene independently; ignores what it is told."""

    def __init__(self, config: RandomSearchConfig, problem: SearchProblem, seed: int) -> None:
        """Bind the options to one problem (number of genes, search fidelity, gene priors) and one seed."""
        self._config, self._problem = config, problem
        self._rng = np.random.default_rng(seed)

    def ask(self) -> list[Candidate]:
        """Propose one batch; the study stops asking when the budget is spent."""
        shape = (self._config.batch_size, self._problem.n_genes)
        masks = self._rng.random(shape) < self._config.keep_probability
        return [
            Candidate(Genome(tuple(bits)), self._problem.search_fidelity) for bits in masks.tolist()
        ]

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Do nothing: a random search has no memory."""
