"""The random draws of one stage of a chunk's training: the same for all candidates, or minibatches of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from models.recipe.minibatches import Minibatches


@dataclass(frozen=True, slots=True)
class Draws:
    """Whose draws a chunk trains with.

    Attributes:
        replicates: One for the whole chunk, or a tuple with each candidate's own.
        stage: Number of the stage, from 0.
    """

    replicates: int | tuple[int, ...]
    stage: int

    @property
    def purpose(self) -> tuple[int, ...]:
        """Names the streams of what a whole chunk shares."""
        first = self.replicates if isinstance(self.replicates, int) else self.replicates[0]
        return self._purpose(first)

    def minibatches(self, draw: Callable[[tuple[int, ...]], Tensor]) -> Minibatches:
        """Draw minibatches.

        Args:
            draw: Gives those of one replicate, int64 ``(steps, batch)``, from what names its stream.
        """
        if isinstance(self.replicates, int):
            return Minibatches.common(draw(self._purpose(self.replicates)))
        different = list(dict.fromkeys(self.replicates))
        indices = torch.stack([draw(self._purpose(replicate)) for replicate in different])
        return Minibatches(indices, torch.tensor([different.index(r) for r in self.replicates]))

    def _purpose(self, replicate: int) -> tuple[int, ...]:
        # The first stage alone draws as a training of one stage does.
        return (replicate, self.stage) if self.stage else (replicate,)
