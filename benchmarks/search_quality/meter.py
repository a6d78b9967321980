"""Counting what a peer spends: every call is one evaluation, and there are no more than the budget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.search_quality.replay import SEARCH_FIDELITY, Landscape
from search.evaluation import SEARCH_REPLICATE, Candidate, Evaluation, Outcome
from search.genome import Genome


class BudgetSpentError(Exception):
    """A peer asked for one evaluation too many; what it has seen is its result."""


class Meter:
    """A noisy landscape as a user's objective function.

    A mask asked for again is trained again: it costs an evaluation and brings a new draw.

    Attributes:
        n_genes: Length of a mask.
        budget: Evaluations that may be made.
        seed: Of the peer's own draws.
        evaluations: Those made so far, in order.
    """

    def __init__(self, landscape: Landscape, n_genes: int, budget: int, seed: int) -> None:
        """Bind the landscape."""
        self.n_genes, self.budget, self.seed = n_genes, budget, seed
        self.evaluations: list[Evaluation] = []
        self._landscape = landscape
        self._visits: Counter[Genome] = Counter()

    @property
    def left(self) -> int:
        """Evaluations that may still be made."""
        return self.budget - len(self.evaluations)

    def __call__(self, mask: Genome) -> float:
        """Evaluate once.

        Raises:
            BudgetSpentError: Nothing is left.
        """
        if self.left <= 0:
            raise BudgetSpentError
        replicate = SEARCH_REPLICATE + self._visits[mask]
        self._visits[mask] += 1
        score = self._landscape(mask, replicate)
        candidate = Candidate(mask, SEARCH_FIDELITY, replicate)
        self.evaluations.append(Evaluation(candidate, Outcome.MEASURED, score, 0.0))
        return score


def retold(evaluations: Sequence[Evaluation], fidelity: int) -> tuple[Evaluation, ...]:
    """The same evaluations as if made at another fidelity: a peer knows one only."""
    return tuple(replace(e, candidate=replace(e.candidate, fidelity=fidelity)) for e in evaluations)
