"""The first batch of an optimizer that knows nothing yet: masks that people would try by hand, and random ones."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from search.genome import Genome
from search.observations import Observations
from search.optimizer import OptimizerConfig, SearchProblem
from search.proposing.structured_masks import structured_masks
from search.proposing.unseen import filled_up


class FirstBatchConfig(OptimizerConfig):
    """Base of the options of optimizers that begin with such a batch."""

    first_batch: int = Field(
        24,
        ge=2,
        le=4096,
        description="masks measured before anything is learned from them; at most a quarter of the budget",
    )
    structured_share: float = Field(
        0.5, ge=0, le=1, description="of the first batch, masks that people would try by hand"
    )


def first_masks(
    config: FirstBatchConfig, problem: SearchProblem, seen: Observations, rng: np.random.Generator
) -> list[Genome]:
    """Give the first batch, or another one where everything in it failed; nothing that was proposed before.

    Args:
        config: How many, and how many of them structured; keep-all and transfer-all are always there.
        problem: Gives the number of genes, the budget and what gradients say.
        seen: Knows what was proposed.
        rng: Draws the rest.
    """
    size = min(config.first_batch, max(4, problem.budget_evaluations // 4))
    priors = problem.gene_priors
    structured = structured_masks(
        problem.n_genes,
        max(2, round(config.structured_share * size)),
        None if priors is None else priors.gradient_ratios,
    )
    new = [genome for genome in structured if not seen.was_asked(genome)]
    return filled_up(new, size, seen, problem.n_genes, rng)
