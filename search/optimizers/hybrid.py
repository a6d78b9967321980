"""Genetic algorithm first, then annealing of its leaders.

A population finds where good masks are; chains that start from its best ones look around there more closely.
Reference: Moscato, "On Evolution, Search, Optimization, Genetic Algorithms and Martial Arts: Towards Memetic
Algorithms", Caltech C3P 826 (1989).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from search.evaluation import UNTRAINED, Candidate, Evaluation
from search.optimizer import OPTIMIZERS, OptimizerConfig, SearchProblem
from search.optimizers.annealing import Annealing, AnnealingConfig
from search.optimizers.genetic import Genetic, GeneticConfig


class HybridConfig(OptimizerConfig):
    """Options of a search in two parts."""

    kind: Literal["hybrid"] = "hybrid"
    annealed_share: float = Field(
        0.5, gt=0, lt=1, description="of the budget, what is left to annealing"
    )
    genetic: GeneticConfig = Field(GeneticConfig(), description="options of the first part")
    annealing: AnnealingConfig = Field(AnnealingConfig(), description="options of the second part")

    def looks_per_training(self, problem: SearchProblem) -> float:
        """What the first part does; the second looks at nothing."""
        return self.genetic.looks_per_training(problem)

    def batch_within(self, problem: SearchProblem) -> int:
        """The larger of both parts'."""
        return max(self.genetic.batch_within(problem), self.annealing.batch_within(problem))


@OPTIMIZERS.register(HybridConfig)
class Hybrid:
    """Hands everything measured over to annealing once its share of the budget is all that is left."""

    def __init__(self, config: HybridConfig, problem: SearchProblem, seed: int) -> None:
        """Bind the options to one problem and one seed."""
        self._config, self._problem = config, problem
        self._genetic = Genetic(config.genetic, problem, seed)
        self._annealing = Annealing(config.annealing, problem, seed)
        self._is_annealing = False
        self._told: list[Evaluation] = []

    def ask(self) -> list[Candidate]:
        """Propose a generation, or one mask per chain."""
        left = self._problem.budget_evaluations - len(self._told)
        if not self._is_annealing and self._told and left <= self._annealed_evaluations:
            self._is_annealing = True
            self._annealing.tell(self._told)
        return self._annealing.ask() if self._is_annealing else self._genetic.ask()

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Take in the measured batch."""
        if self._is_annealing:
            self._annealing.tell(evaluations)
        else:
            self._told.extend(e for e in evaluations if e.candidate.fidelity != UNTRAINED)
            self._genetic.tell(evaluations)

    @property
    def _annealed_evaluations(self) -> float:
        return self._config.annealed_share * self._problem.budget_evaluations
