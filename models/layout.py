"""The seam for how a chunk of candidates is computed: fused or one by one, with the same results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from models.checkpoints import State
from models.dataset import Examples
from models.freezing import Freezing
from models.strategy import Strategy

# Samples per forward pass when nothing is trained: bounds memory, costs nothing.
SCORING_BATCH = 256


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a chunk is trained.

    Attributes:
        strategy: What a training step minimises, and with what.
        learning_rate: Of every candidate in the chunk.
        freezing: What training leaves as it is.
    """

    strategy: Strategy
    learning_rate: float
    freezing: Freezing


class Layout(Protocol):
    """Trains and applies a population whose state is stacked, ``(P, *shape)`` per tensor.

    The promise: candidates do not influence each other, and every layout computes the same up to rounding.  Stochastic
    layers draw from torch's global generator, the same draws for every candidate.
    """

    def train(self, state: State, data: Examples, minibatches: Tensor, recipe: Recipe) -> None:
        """Run one training step per row of ``minibatches``, int64 ``(steps, batch)``; changes ``state`` in place."""
        ...

    def logits(self, state: State, part: Examples) -> Tensor:
        """Apply every candidate in evaluation mode: ``(P, N, C)``."""
        ...
