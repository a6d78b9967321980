"""Which samples each training step sees, drawn before the first step."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from models.randomness import generator


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
