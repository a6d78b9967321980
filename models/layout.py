"""The seam for how a chunk of candidates is computed: fused or one by one, with the same results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from models.checkpoints import State
from models.dataset import Examples
from models.freezing import Freezing
from models.strategy import Strategy

# Samples times candidates per forward pass when nothing is trained: bounds memory, and fits into a processor's cache.
SCORING_BATCH = {"cpu": 2048, "cuda": 65536}


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

    def of(self, rows: Sequence[int]) -> Recipe:
        """The recipe of some of the candidates."""
        return replace(self, freezing=self.freezing.of(rows))


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


def population_size(state: Mapping[str, Tensor]) -> int:
    """Number of candidates of a stacked state, ``(P, *shape)`` per tensor."""
    return len(next(iter(state.values())))


def scoring_pieces(part: Examples, n_candidates: int) -> tuple[Tensor, ...]:
    """Cut samples into pieces that are applied at once: indices, in order."""
    device = part.labels.device
    size = max(1, SCORING_BATCH.get(device.type, SCORING_BATCH["cpu"]) // n_candidates)
    pieces: tuple[Tensor, ...] = torch.arange(len(part), device=device).split(size)
    return pieces
