"""Exhaustive search: measure every mask, where there are few enough.

The masks come in order of the binary numbers they spell, transfer-all (``00...0``) first; then, where that is asked
for, all of them again at the next replicate.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, product
from typing import Literal

from pydantic import Field

from search.errors import InvalidInputError
from search.evaluation import SEARCH_REPLICATE, Candidate, Evaluation
from search.genome import Genome
from search.optimizer import OPTIMIZERS, OptimizerConfig, SearchProblem

MAX_MASKS = 2**16


class ExhaustiveConfig(OptimizerConfig):
    """Options of a search that measures every mask."""

    kind: Literal["exhaustive"] = "exhaustive"
    batch_size: int = Field(64, ge=1, le=4096, description="candidates asked for at once")
    replicates: int = Field(1, ge=1, le=1000, description="times that every mask is measured")

    def batch_within(self, problem: SearchProblem) -> int:  # noqa: ARG002 - whatever the problem
        """A batch."""
        return self.batch_size

    def check(self, problem: SearchProblem) -> None:
        """Refuse a problem with more masks than the budget or the hard limit allows.

        Raises:
            InvalidInputError: Names the number of masks and the limit it exceeds.
        """
        n_masks = 2**problem.n_genes
        counted = f"exhaustive over 2^{problem.n_genes} = {n_masks} masks"
        if n_masks > MAX_MASKS:
            raise InvalidInputError(
                "optimizer.kind",
                counted,
                f"at most 2^16 = {MAX_MASKS} masks; use genetic or annealing",
            )
        needed = n_masks * self.replicates
        if needed > problem.budget_evaluations:
            times = f" at {self.replicates} replicates" if self.replicates > 1 else ""
            raise InvalidInputError(
                "budget.evaluations",
                f"{problem.budget_evaluations} with {counted}{times}",
                f"at least {needed}, or another optimizer",
            )


@OPTIMIZERS.register(ExhaustiveConfig)
class Exhaustive:
    """Enumerates all masks; ignores what it is told."""

    def __init__(self, config: ExhaustiveConfig, problem: SearchProblem, seed: int) -> None:  # noqa: ARG002
        """Bind the options to one problem; the seed changes nothing."""
        self._config = config
        self._candidates = (
            Candidate(Genome(keeps), problem.search_fidelity, SEARCH_REPLICATE + replicate)
            for replicate in range(config.replicates)
            for keeps in product((False, True), repeat=problem.n_genes)
        )

    def ask(self) -> list[Candidate]:
        """Propose the next masks; empty when all have been proposed."""
        return list(islice(self._candidates, self._config.batch_size))

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Do nothing: the order is fixed."""
