"""The training loop that layouts share: leaves, an optimizer over them, steps, and what stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from torch import Tensor

from models.checkpoints import State
from models.data.dataset import Examples
from models.layout import Recipe
from models.population.captured_step import WARM_UP_STEPS, CapturedStep, Feed
from models.population.gradient_rules import GradientRules
from models.population.minibatch_source import MinibatchSource
from models.population.rated_optimizer import RatedOptimizer
from models.population.row_freezing import RowFreezing
from models.population.stopping import Stopping

# Losses (P,) of all candidates on one minibatch, from the leaves.
Losses = Callable[[State, Examples], Tensor]


def train_fused(
    state: State,
    losses: Losses,
    *,
    trained: Collection[str],
    minibatches: MinibatchSource,
    recipe: Recipe,
    begin: Callable[[int], None],
    validate: Callable[[Examples], Tensor],
    steady: Collection[str] = (),
    captured: bool = False,
) -> None:
    """Train a chunk with one optimizer over stacked leaves.

    Args:
        state: ``(P, *shape)`` per tensor; changed in place, and left without gradients.
        losses: What is minimised.  Its leaves are tensors of ``state``; everything else it reads there.
        trained: Names of the parameters that the network trains.  Those that all candidates freeze get no gradient.
        minibatches: One per step.
        recipe: How to train.
        begin: Called before every step with its number.
        validate: Gives the losses ``(P,)`` on some samples as the candidates are now.
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
    stopping = stopping_of(recipe, state, validate)

    def after_step() -> None:
        rows.after_step()
        if stopping is not None:
            stopping.hold()

    try:
        run_steps(
            leaves,
            losses,
            minibatches=minibatches,
            recipe=recipe,
            begin=begin,
            after_step=after_step,
            is_over=lambda step: stopping is not None and stopping.look(step),
            captured=list(state.values()) if captured else (),
        )
    finally:
        for leaf in leaves.values():
            leaf.requires_grad_(False)
            leaf.grad = None


def stopping_of(
    recipe: Recipe, state: State, validate: Callable[[Examples], Tensor]
) -> Stopping | None:
    """What stops candidates early, if the recipe asks for it."""
    options, part = recipe.objective.config.early_stopping, recipe.validation
    if options is None or part is None:
        return None
    return Stopping(options, state, lambda: validate(part))


def run_steps(
    leaves: State,
    losses: Losses,
    *,
    minibatches: MinibatchSource,
    recipe: Recipe,
    begin: Callable[[int], None],
    after_step: Callable[[], None],
    is_over: Callable[[int], bool],
    captured: Sequence[Tensor] = (),
) -> None:
    """Run one training step per minibatch.

    Without leaves nothing is minimised, and a step is a forward pass: buffers that are not frozen may change.

    Args:
        leaves: What is trained.
        losses: What is minimised, ``(P,)`` or a scalar.
        minibatches: One per step.
        recipe: How to train.
        begin: Called before every step with its number; not captured.
        after_step: Called as the last part of every step.
        is_over: Called between steps with the number of the one that is done; True ends the training; not captured.
        captured: Every tensor that a step changes, if steps are to be replayed as CUDA graphs.
    """
    for leaf in leaves.values():
        leaf.requires_grad_()
    is_captured = len(captured) > 0 and len(minibatches) > WARM_UP_STEPS
    optimizer = (
        RatedOptimizer(leaves, recipe, len(minibatches), captured=is_captured) if leaves else None
    )
    rules = GradientRules(leaves, recipe.objective.config, recipe.freezing)

    def step(feed: Feed) -> None:
        total = losses(leaves, minibatches.examples(feed)).sum()
        if optimizer is not None:
            # The gradient of a sum with respect to one candidate's weights is that candidate's own.
            optimizer.zero_grad()
            total.backward()
            rules.apply()
            optimizer.step()
        after_step()

    run: Callable[[Feed], None] = step
    if is_captured:
        run = CapturedStep(
            step, minibatches.feed(0), captured, optimizer.optimizer if optimizer else None
        )
    for number in range(len(minibatches)):
        begin(number)
        if optimizer is not None:
            optimizer.begin(number)
        run(minibatches.feed(number))
        if number + 1 < len(minibatches) and is_over(number):
            break
