"""The seam for how a chunk of candidates is computed: fused or one by one, with the same results."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from models.checkpoints import State
from models.dataset import Examples
from models.strategy import Strategy

# Samples per forward pass when nothing is trained: bounds memory, costs nothing.
SCORING_BATCH = 256


class Layout(Protocol):
    """Trains and applies a population whose state is stacked, ``(P, *shape)`` per tensor.

    The promise: candidates do not influence each other, and every layout computes the same up to rounding.  Stochastic
    layers draw from torch's global generator, the same draws for every candidate.
    """

    def train(
        self,
        state: State,
        data: Examples,
        minibatches: Tensor,
        strategy: Strategy,
        learning_rate: float,
    ) -> None:
        """Run one training step per row of ``minibatches``, int64 ``(steps, batch)``; changes ``state`` in place."""
        ...

    def logits(self, state: State, part: Examples) -> Tensor:
        """Apply every candidate in evaluation mode: ``(P, N, C)``."""
        ...
