"""Minibatches of a training, step by step, in a form in which a captured step can be given them."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from models.data.dataset import Examples
from models.layout import Augment
from models.population.batched import cover
from models.recipe.minibatches import Minibatches


class Source(Protocol):
    """Where samples come from."""

    def take(self, indices: Tensor) -> Examples:
        """Copy some samples."""
        ...


class MinibatchSource:
    """The minibatches of one training.

    What must happen anew in every step, outside a captured graph, is in ``feed``; what can be replayed in ``examples``.
    """

    def __init__(self, data: Source, minibatches: Minibatches, augment: Augment | None) -> None:
        """Bind the samples and the plan.

        Args:
            data: What samples are taken from.
            minibatches: On the device of the samples.
            augment: Changes minibatches, if anything does.
        """
        self._data, self._minibatches, self._augment = data, minibatches, augment

    def __len__(self) -> int:
        return len(self._minibatches)

    def feed(self, step: int) -> dict[str, Tensor]:
        """Give the tensors that distinguish one step from the others."""
        indices = self._minibatches.step(step)
        if self._augment is None:
            return {"indices": indices}
        minibatch = self._augment(step, self._data.take(indices))
        return {
            "labels": minibatch.labels,
            **{f"input {name}": x for name, x in minibatch.inputs.items()},
            **{f"target {name}": x for name, x in minibatch.targets.items()},
        }

    def examples(self, feed: dict[str, Tensor]) -> Examples:
        """Give a step's minibatch from its tensors."""
        if self._augment is None:
            return self._data.take(feed["indices"])
        return Examples(_named(feed, "input "), feed["labels"], _named(feed, "target "))


def seen_by_one(minibatch: Examples) -> Examples:
    """What one candidate sees of a minibatch; called inside ``vmap``.

    Args:
        minibatch: ``(B, *)`` for all candidates, or ``(P, B, *)``, of each its own.
    """
    if minibatch.labels.ndim == 1:
        return minibatch
    return Examples(
        {name: cover(x, 0) for name, x in minibatch.inputs.items()},
        cover(minibatch.labels, 0),
        {name: cover(target, 0) for name, target in minibatch.targets.items()},
    )


def _named(feed: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): x for name, x in feed.items() if name.startswith(prefix)}
