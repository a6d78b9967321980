"""For those who do not want to choose an optimizer: number of genes, budget and measured noise decide.

Where the budget covers every mask, every mask is measured; what is left of the budget goes to those that may still be
the best, as far as the noise leaves doubt.  Otherwise the genetic algorithm searches, screened by its surrogate.
``benchmarks/search_quality`` has the comparison that this rests on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from search.evaluation import Candidate, Evaluation
from search.genome import Genome
from search.observations import Observations
from search.optimizer import OPTIMIZERS, Optimizer, OptimizerConfig, SearchProblem
from search.optimizers.exhaustive import MAX_MASKS, Exhaustive, ExhaustiveConfig
from search.optimizers.genetic import Genetic, GeneticConfig
from search.proposing.acquisition import choose_batch
from search.proposing.contest import DOUBT, contenders
from search.surrogate import is_worth_a_model
from search.surrogates.gaussian_process import (
    MOST_OBSERVATIONS,
    GaussianProcess,
    GaussianProcessConfig,
)

# Whom so many replicates do not tell apart, the race will at full length, if anything.
MOST_REPLICATES = 10
BATCH_SIZE = 16


class AutoConfig(OptimizerConfig):
    """No options: the number of genes, the budget and the noise decide."""

    kind: Literal["auto"] = "auto"

    def looks_per_training(self, problem: SearchProblem) -> float:
        """As many as whichever is chosen."""
        return _chosen_config(problem).looks_per_training(problem)

    def batch_within(self, problem: SearchProblem) -> int:
        """A batch of whichever is chosen."""
        return _chosen_config(problem).batch_within(problem)


@OPTIMIZERS.register(AutoConfig)
class Auto:
    """Passes everything on to the optimizer that it chose; measures leaders again where that was all masks."""

    def __init__(self, config: AutoConfig, problem: SearchProblem, seed: int) -> None:  # noqa: ARG002
        """Choose, once and for all."""
        chosen = _chosen_config(problem)
        self._covers_all = isinstance(chosen, ExhaustiveConfig)
        self.chosen: Optimizer = (
            Exhaustive(chosen, problem, seed)
            if isinstance(chosen, ExhaustiveConfig)
            else Genetic(chosen, problem, seed)
        )
        self._fidelity = problem.search_fidelity
        self._seen, self._times = Observations(), Counter[Genome]()
        self._surrogate = GaussianProcess(GaussianProcessConfig(), seed)

    def ask(self) -> list[Candidate]:
        """Propose what the chosen optimizer proposes, then leaders."""
        asked = self.chosen.ask()
        return asked if asked or not self._covers_all else self._leaders_again()

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Tell it."""
        self.chosen.tell(evaluations)
        self._seen.add(evaluations)
        self._times.update(evaluation.candidate.genome for evaluation in evaluations)

    def _leaders_again(self) -> list[Candidate]:
        # Of more the model sees only those told last.
        if not is_worth_a_model(self._seen) or len(self._seen) > MOST_OBSERVATIONS:
            return []
        fit = self._surrogate.fit(self._seen)
        again = [
            genome
            for genome in contenders(fit, self._seen.genomes)
            if self._times[genome] < MOST_REPLICATES
        ]
        chosen = choose_batch(fit, again, BATCH_SIZE, DOUBT) if again else []
        return self._seen.candidates(chosen, self._fidelity)


def _chosen_config(problem: SearchProblem) -> ExhaustiveConfig | GeneticConfig:
    n_masks = 2**problem.n_genes
    covers_all = n_masks <= min(MAX_MASKS, problem.budget_evaluations)
    return ExhaustiveConfig() if covers_all else GeneticConfig()
