"""The training loop that layouts share: leaves, an optimizer over them, steps, and what stays frozen."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from torch import Tensor

from models.checkpoints import State
from models.dataset import Examples
from models.layout import Recipe
from models.population.captured_step import WARM_UP_STEPS, CapturedStep
from models.population.row_freezing import RowFreezing


class Source(Protocol):
    """Where minibatches come from."""

    def take(self, indices: Tensor) -> Examples:
        """Copy some samples."""
        ...


# Losses (P,) of all candidates on one minibatch, from the leaves.
Losses = Callable[[State, Examples], Tensor]


def train_fused(
    state: State,
    losses: Losses,
    *,
    trained: Collection[str],
    data: Source,
    minibatches: Tensor,
    recipe: Recipe,
    steady: Collection[str] = (),
    captured: bool = False,
) -> None:
    """Train a chunk with one optimizer over stacked leaves.

    Args:
        state: ``(P, *shape)`` per tensor; changed in place, and left without gradients.
        losses: What is minimised.  Its leaves are tensors of ``state``; everything else it reads there.
        trained: Names of the parameters that the network trains.  Those that all candidates freeze get no gradient.
        data: What minibatches are taken from.
        minibatches: Indices ``(steps, batch)``.
        recipe: Strategy, learning rate, and what is frozen.
        steady: Buffers that ``losses`` itself leaves alone in the rows that freeze them.
        captured: Replay steps as CUDA graphs.
    """
    freezing = recipe.freezing
    if freezing.everywhere.issuperset(state):
        return
    leaves = {
        name: tensor
        for name, tensor in state.items()
        if name in trained and name not in freezing.everywhere
    }
    buffers = [name for name in state if name not in trained and name not in steady]
    rows = RowFreezing(state, freezing, [*leaves, *buffers])
    try:
        run_steps(
            leaves,
            losses,
            data=data,
            minibatches=minibatches,
            recipe=recipe,
            after_step=rows.after_step,
            captured=list(state.values()) if captured else (),
        )
    finally:
        for leaf in leaves.values():
            leaf.requires_grad_(False)
            leaf.grad = None


def run_steps(
    leaves: State,
    losses: Losses,
    *,
    data: Source,
    minibatches: Tensor,
    recipe: Recipe,
    after_step: Callable[[], None],
    captured: Sequence[Tensor] = (),
) -> None:
    """Run one training step per row of ``minibatches``.

    Without leaves nothing is minimised, and a step is a forward pass: buffers that are not frozen may change.

    Args:
        leaves: What is trained.
        losses: What is minimised, ``(P,)`` or a scalar.
        data: What minibatches are taken from.
        minibatches: Indices ``(steps, batch)``.
        recipe: Strategy and learning rate.
        after_step: Called after every step.
        captured: Every tensor that a step changes, if steps are to be replayed as CUDA graphs.
    """
    for leaf in leaves.values():
        leaf.requires_grad_()
    optimizer = (
        recipe.strategy.build_optimizer(list(leaves.values()), recipe.learning_rate)
        if leaves
        else None
    )

    def step(indices: Tensor) -> None:
        total = losses(leaves, data.take(indices)).sum()
        if optimizer is not None:
            # The gradient of a sum with respect to one candidate's weights is that candidate's own.
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
        after_step()

    run: Callable[[Tensor], None] = step
    if captured and len(minibatches) > WARM_UP_STEPS:
        run = CapturedStep(step, minibatches[0], captured, optimizer)
    for indices in minibatches:
        run(indices)
