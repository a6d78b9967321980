"""The gradient ratio's answer: keep the genes that want to change most, transfer the rest.

A gene whose loss gradient is large relative to its weight, in transfer-all, is one that the target task would change
most.  Measured once while preparing, the ratio orders the genes; the masks along that order are measured, at most n + 1
of n genes.  Reference: Lee et al., "Surgical Fine-Tuning Improves Adaptation to Distribution Shifts", ICLR 2023, whose
Auto-RGN scales learning rates by the ratio; its answer is a good first guess and not always the right one.

Where no ratios were measured, the order of the network serves: later genes count as wanting more change, and the masks
are the prefixes that people try by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from search.evaluation import Candidate, Evaluation
from search.genome import Genome, keep_all, transfer_all
from search.optimizer import OPTIMIZERS, OptimizerConfig, SearchProblem
from search.proposing.structured_masks import nested_masks


class AutoRgnConfig(OptimizerConfig):
    """Options of a search along the gradient ratio."""

    kind: Literal["auto_rgn"] = "auto_rgn"
    threshold: float = Field(
        0.5, ge=0, lt=1, description="genes above this share of the largest ratio are kept first"
    )
    batch_size: int = Field(
        32, ge=1, le=4096, description="candidates asked for at once, after the first three"
    )

    def batch_within(self, problem: SearchProblem) -> int:
        """A batch, of masks of which there is one more than there are genes."""
        return min(self.batch_size, problem.n_genes + 1)


@OPTIMIZERS.register(AutoRgnConfig)
class AutoRgn:
    """Measures the masks nested by gradient ratio, those closest to the threshold first; ignores what it is told."""

    def __init__(self, config: AutoRgnConfig, problem: SearchProblem, seed: int) -> None:  # noqa: ARG002
        """Order the masks; the seed changes nothing."""
        self._config, self._problem = config, problem
        n_genes, priors = problem.n_genes, problem.gene_priors
        ratios = np.arange(n_genes) if priors is None else np.asarray(priors.gradient_ratios)
        nested = [transfer_all(n_genes), *nested_masks(ratios.tolist()), keep_all(n_genes)]
        n_kept = int((ratios > config.threshold * ratios.max()).sum())
        by_closeness = sorted(nested, key=lambda mask: abs(sum(mask.keeps) - n_kept))
        first = [keep_all(n_genes), transfer_all(n_genes), by_closeness[0]]
        self._first = list(dict.fromkeys(first))
        self._later = [mask for mask in by_closeness if mask not in self._first]

    def ask(self) -> list[Candidate]:
        """Propose the pure masks and the one at the threshold, then the others; empty when all were proposed."""
        size = self._config.batch_size
        batch: list[Genome] = self._first
        if batch:
            self._first = []
        else:
            batch, self._later = self._later[:size], self._later[size:]
        return [Candidate(genome, self._problem.search_fidelity) for genome in batch]

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Do nothing: the order is fixed."""
