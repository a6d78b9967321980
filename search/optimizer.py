"""The ask/tell seam between a study and whatever proposes candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from search.evaluation import Candidate, Evaluation
from search.registry import PluginConfig, Registry


@dataclass(frozen=True, slots=True)
class GenePriors:
    """What gradients say of every gene before anything is searched; each tuple has one value per gene, at least 0.

    Attributes:
        saliencies: First-order change of the training loss when the gene alone is swapped in keep-all or transfer-all
            (higher: swapping it changes more).
        gradient_ratios: Norm of the loss's gradient over norm of the weight, in transfer-all (higher: the gene wants to
            change).
    """

    saliencies: tuple[float, ...]
    gradient_ratios: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class SearchProblem:
    """All that an optimizer may know about what it searches.

    Attributes:
        n_genes: Length of a mask, at least 1.
        search_fidelity: Fine-tuning steps of an ordinary evaluation.
        budget_evaluations: Evaluations at the search fidelity that the search phase may spend.
        gene_priors: None if not measured.
        untrained_share: Of what an evaluation computes, the part that is left without training, which is scoring, above
            0 to 1; None where that is not known, and then nothing is measured untrained.
    """

    n_genes: int
    search_fidelity: int
    budget_evaluations: int
    gene_priors: GenePriors | None = None
    untrained_share: float | None = None


class OptimizerConfig(PluginConfig):
    """Base of every optimizer's options."""

    def check(self, problem: SearchProblem) -> None:
        """Refuse a problem that the optimizer cannot serve, without constructing the optimizer.

        Raises:
            InvalidInputError: The options and the problem do not fit; names both numbers.
        """

    def looks_per_training(self, problem: SearchProblem) -> float:  # noqa: ARG002 - for those that look
        """Masks that are measured untrained for each one that is trained, at most; 0 if none are."""
        return 0.0

    def batch_within(self, problem: SearchProblem) -> int:
        """Candidates that are trained side by side once the search is under way, at most; at least 1."""
        return problem.budget_evaluations


class Optimizer(Protocol):
    """Proposes candidates batch by batch.

    The promise: what it asks depends only on its config, its problem, its seed and what it was told, in order.
    A study resumes by replaying the same evaluations, so nothing of an optimizer is ever stored.

    ``ask`` is followed by exactly one ``tell`` for the same batch.  The told list may be shorter than the asked one
    (the last batch is cut to the budget); it keeps the order.  Failed evaluations have ``fitness=None``.
    An empty ``ask`` means that the optimizer has nothing more to try.
    """

    def ask(self) -> list[Candidate]:
        """Propose a whole batch, so that the evaluator can train it together."""
        ...

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Take the measurements of the batch last asked."""
        ...


OPTIMIZERS: Registry[Optimizer] = Registry("optimizer", "search.optimizers")
