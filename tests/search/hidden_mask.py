"""An evaluator whose optimum is known: fitness is the share of genes that agree with a hidden mask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from search.evaluation import Candidate, Evaluation, Outcome
from search.genome import Genome


def hidden_mask(n_genes: int, seed: int = 3) -> Genome:
    """Draw an optimum that is no structured mask."""
    return Genome.from_bits(np.random.default_rng(seed).random(n_genes) < 0.5)


class HiddenMaskEvaluator:
    """Measures without training; counts what it was asked and can refuse large chunks."""

    def __init__(self, hidden: Genome, largest_chunk: int = 10_000) -> None:
        """Bind the optimum and the number of candidates that fit into memory together."""
        self._hidden, self._largest_chunk = hidden, largest_chunk
        self.measured: list[Candidate] = []

    def evaluate(self, candidates: Sequence[Candidate]) -> list[Evaluation]:
        """Measure one chunk."""
        from search.errors import ChunkOutOfMemoryError

        if len(candidates) > self._largest_chunk:
            raise ChunkOutOfMemoryError(f"{len(candidates)} candidates")
        self.measured.extend(candidates)
        return [
            Evaluation(c, Outcome.MEASURED, c.genome.agreement(self._hidden), 0.5, loss=1.0)
            for c in candidates
        ]
