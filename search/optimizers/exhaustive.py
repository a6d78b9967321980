"""Exhaustive search: measure every mask, where there are few enough.

The masks come in order of the binary numbers they spell, transfer-all (``00...0``) first.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, product
from typing import Literal

from pydantic import Field

from search.errors import InvalidInputError
from search.evaluation import Candidate, Evaluation
from search.genome import Genome
from search.optimizer import OPTIMIZERS, OptimizerConfig, SearchProblem

MAX_MASKS = 2**16


class ExhaustiveConfig(OptimizerConfig):
    """Options of a search that measures every mask."""

    kind: Literal["exhaustive"] = "exhaustive"
    batch_size: int = Field(64, ge=1, le=4096, description="candidates asked for at once")

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
        if n_masks > problem.budget_evaluations:
            raise InvalidInputError(
                "budget.evaluations",
                f"{problem.budget_evaluations} with {counted}",
                f"at least {n_masks}, or another optimizer",
            )


@OPTIMIZERS.register(ExhaustiveConfig)
class Exhaustive:
    """Enumerates all masks; ignores what it is told."""

    def __init__(self, config: ExhaustiveConfig, problem: SearchProblem, seed: int) -> None:  # noqa: ARG002
        """Bind the options to one problem; the seed changes nothing."""
        self._config, self._problem = config, problem
        self._masks = product((False, True), repeat=problem.n_genes)

    def ask(self) -> list[Candidate]:
        """Propose the next masks; empty when all have been proposed."""
        return [
            Candidate(Genome(keeps), self._problem.search_fidelity)
            for keeps in islice(self._masks, self._config.batch_size)
        ]

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Do nothing: the order is fixed."""
