"""The seam for how a chunk of candidates is computed: fused or one by one, with the same results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import torch
from torch import Tensor

from models.checkpoints import State
from models.data.dataset import Examples
from models.recipe.freezing import Freezing
from models.recipe.minibatches import Minibatches
from models.recipe.strategy import Objective

# Samples times candidates per forward pass when nothing is trained: bounds memory, and fits into a processor's cache.
SCORING_BATCH = {"cpu": 2048, "cuda": 65536}
# Of so many weights; activations are the larger, the more weights a network has, and so many fewer samples are applied.
SMALL_NETWORK = 1_000_000

# Changes the minibatch of a step, by the step's number.
Augment = Callable[[int, Examples], Examples]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a chunk is trained.

    Attributes:
        objective: What a training step minimises, and with what.
        learning_rates: Of each candidate, ``P`` rates.
        freezing: What training leaves as it is.
        rate_factors: Per tensor, what each candidate's rate is multiplied with, ``P`` factors; 1 for those not named.
        augment: Changes minibatches.
        validation: What early stopping watches; None if it is not asked for.
        averages_statistics: Nothing is minimised; running statistics become the mean over all steps.
    """

    objective: Objective
    learning_rates: tuple[float, ...]
    freezing: Freezing
    rate_factors: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    augment: Augment | None = None
    validation: Examples | None = None
    averages_statistics: bool = False

    def of(self, rows: Sequence[int]) -> Recipe:
        """The recipe of some of the candidates."""
        return replace(
            self,
            learning_rates=tuple(self.learning_rates[row] for row in rows),
            freezing=self.freezing.of(rows),
            rate_factors={
                name: tuple(factors[row] for row in rows)
                for name, factors in self.rate_factors.items()
            },
        )


class Layout(Protocol):
    """Trains and applies a population whose state is stacked, ``(P, *shape)`` per tensor.

    The promise: candidates do not influence each other, and every layout computes the same up to rounding.  Stochastic
    layers draw from torch's global generator, the same draws for every candidate.
    """

    def train(self, state: State, data: Examples, minibatches: Minibatches, recipe: Recipe) -> None:
        """Run one training step per minibatch; changes ``state`` in place."""
        ...

    def logits(self, state: State, part: Examples) -> Tensor:
        """Apply every candidate in evaluation mode: ``(P, N, C)``."""
        ...


def population_size(state: Mapping[str, Tensor]) -> int:
    """Number of candidates of a stacked state, ``(P, *shape)`` per tensor."""
    return len(next(iter(state.values())))


def scoring_pieces(part: Examples, n_candidates: int, n_weights: int) -> tuple[Tensor, ...]:
    """Cut samples into pieces that are applied at once: indices, in order.

    Args:
        part: The samples.
        n_candidates: Applied together.
        n_weights: Of each of them.
    """
    device = part.labels.device
    most = SCORING_BATCH.get(device.type, SCORING_BATCH["cpu"])
    size = max(1, most // n_candidates // max(1, n_weights // SMALL_NETWORK))
    pieces: tuple[Tensor, ...] = torch.arange(len(part), device=device).split(size)
    return pieces


def weights_of_one(state: Mapping[str, Tensor]) -> int:
    """Numbers in one candidate's tensors."""
    return sum(tensor[0].numel() for tensor in state.values())
