"""Whether a faster arithmetic ranks masks as the exact one does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from models.randomness import generator
from search.evaluation import Candidate, Evaluation, Evaluator
from search.genome import Genome

# A plan in reduced precision serves only if its scores of this many drawn masks correlate at least so with float32's.
COMPARED_MASKS, SUFFICIENT_CORRELATION = 32, 0.95


def rank_correlation(
    exact: Evaluator, fast: Evaluator, *, n_genes: int, fidelity: int, chunk_size: int
) -> float:
    """Spearman's correlation of the fitness that two evaluators give to the same drawn masks.

    Args:
        exact: The reference.
        fast: What is to be judged.
        n_genes: Length of the masks.
        fidelity: Training steps of each evaluation.
        chunk_size: Candidates asked for at once.

    Returns:
        -1 to 1; 0 where fewer than half of the masks could be measured by both, or where all score the same.
    """
    stream = generator(0, "ranked masks")
    bits = (torch.rand(COMPARED_MASKS, n_genes, generator=stream) < 0.5).tolist()
    asked = [Candidate(Genome(tuple(row)), fidelity) for row in bits]
    scores = []
    for evaluator in (exact, fast):
        found: list[Evaluation] = []
        for start in range(0, len(asked), chunk_size):
            found += evaluator.evaluate(asked[start : start + chunk_size])
        scores.append([e.fitness for e in found])
    return _spearman(*scores)


def _spearman(exact: Sequence[float | None], fast: Sequence[float | None]) -> float:
    pairs = [(a, b) for a, b in zip(exact, fast, strict=True) if a is not None and b is not None]
    values = np.asarray(pairs, dtype=np.float64).reshape(-1, 2)
    if 2 * len(values) < len(exact) or (values.min(axis=0) == values.max(axis=0)).any():
        return 0.0
    # A second to load, which only plans in reduced precision need.
    from scipy.stats import spearmanr  # noqa: PLC0415

    return float(spearmanr(values[:, 0], values[:, 1]).statistic)
