"""Which samples each training step sees, drawn before the first step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.randomness import generator


@dataclass(frozen=True, slots=True)
class Minibatches:
    """The minibatches of a chunk's training.

    Attributes:
        indices: int64 ``(D, steps, batch)``: of ``D`` draws.
        draw_of: int64 ``(P,)``: the draw of each candidate; None where all have the only one.
    """

    indices: Tensor
    draw_of: Tensor | None = None

    @classmethod
    def common(cls, indices: Tensor) -> Minibatches:
        """The same for all candidates, from int64 ``(steps, batch)``."""
        return cls(indices.unsqueeze(0))

    def __len__(self) -> int:
        return self.indices.shape[1]

    def to(self, device: torch.device) -> Minibatches:
        """Bring them to the device of the samples."""
        draw_of = None if self.draw_of is None else self.draw_of.to(device)
        return Minibatches(self.indices.to(device), draw_of)

    def of(self, rows: Sequence[int]) -> Minibatches:
        """Those of some of the candidates, in a chunk of their own."""
        return self if self.draw_of is None else Minibatches(self.indices, self.draw_of[rows])

    def of_one(self, row: int) -> Minibatches:
        """Those of one candidate that is trained by itself."""
        draw = 0 if self.draw_of is None else int(self.draw_of[row])
        return Minibatches(self.indices[draw : draw + 1])

    def step(self, number: int) -> Tensor:
        """Samples of one step: ``(batch,)`` for all candidates, or ``(P, batch)``, of each its own."""
        drawn = self.indices[:, number]
        return drawn[0] if self.draw_of is None else drawn[self.draw_of]


def draw_minibatches(
    n_samples: int,
    steps: int,
    batch_size: int,
    seed: int,
    *purpose: str | int,
    weights: Tensor | None = None,
) -> Tensor:
    """Draw the minibatches of a whole training.

    Without weights, epochs are shuffled one after another and cut into minibatches of equal size, which may span two
    epochs.  With weights, every sample is drawn on its own, with replacement.  Either way the first k minibatches are
    the same whatever ``steps`` is.

    Args:
        n_samples: N.
        steps: Number of minibatches.
        batch_size: Samples of each, cut to N.
        seed: Of the draws.
        purpose: Names the stream.
        weights: ``(N,)``, 0 or more and not all 0: a sample is drawn in proportion to its weight.

    Returns:
        int64 ``(steps, min(batch_size, n_samples))``, on the CPU.

    Raises:
        ValueError: There is not one weight per sample.
    """
    size = min(batch_size, n_samples)
    stream = generator(seed, "minibatches", *purpose)
    if weights is not None:
        if weights.shape != (n_samples,):
            raise ValueError(f"weights have shape {tuple(weights.shape)}, samples are {n_samples}")
        return _drawn_in_proportion(weights, steps * size, stream).view(steps, size)
    epochs = [
        torch.randperm(n_samples, generator=stream)
        for _ in range(math.ceil(steps * size / n_samples))
    ]
    if not epochs:
        return torch.empty((0, size), dtype=torch.int64)
    return torch.cat(epochs)[: steps * size].view(steps, size)


def _drawn_in_proportion(weights: Tensor, count: int, stream: torch.Generator) -> Tensor:
    """Draw ``(count,)`` indices by inverting the cumulative weights.

    torch's ``multinomial`` takes at most 2^24 samples, and draws a single index in another way than several.
    """
    cumulative = weights.to("cpu", torch.float64).cumsum(0)
    draws = torch.rand(count, generator=stream, dtype=torch.float64) * cumulative[-1]
    return torch.searchsorted(cumulative, draws, right=True)
