"""For those who do not want to choose an optimizer.

Where the budget covers every mask, every mask is measured, several times if it can be; otherwise the genetic algorithm
searches, screened by its surrogate.  ``benchmarks/search_quality`` has the comparison that this rests on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from search.evaluation import Candidate, Evaluation
from search.optimizer import OPTIMIZERS, Optimizer, OptimizerConfig, SearchProblem
from search.optimizers.exhaustive import MAX_MASKS, Exhaustive, ExhaustiveConfig
from search.optimizers.genetic import Genetic, GeneticConfig

# More replicates than this tell little that the race will not tell at full length.
MOST_REPLICATES = 3


class AutoConfig(OptimizerConfig):
    """No options: the number of genes and the budget decide."""

    kind: Literal["auto"] = "auto"


@OPTIMIZERS.register(AutoConfig)
class Auto:
    """Passes everything on to the optimizer that it chose."""

    def __init__(self, config: AutoConfig, problem: SearchProblem, seed: int) -> None:  # noqa: ARG002
        """Choose, once and for all."""
        self.chosen: Optimizer
        times = problem.budget_evaluations // 2**problem.n_genes
        if times >= 1 and 2**problem.n_genes <= MAX_MASKS:
            options = ExhaustiveConfig(replicates=min(times, MOST_REPLICATES))
            self.chosen = Exhaustive(options, problem, seed)
        else:
            self.chosen = Genetic(GeneticConfig(), problem, seed)

    def ask(self) -> list[Candidate]:
        """Propose what the chosen optimizer proposes."""
        return self.chosen.ask()

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Tell it."""
        self.chosen.tell(evaluations)
