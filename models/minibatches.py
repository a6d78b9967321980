"""Which samples each training step sees, drawn before the first step."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from models.randomness import generator


def draw_minibatches(
    n_samples: int, steps: int, batch_size: int, seed: int, *purpose: str | int
) -> Tensor:
    """Draw the minibatches of a whole training.

    Epochs are shuffled one after another and cut into minibatches of equal size, which may span two epochs.  The first
    k minibatches are the same whatever ``steps`` is.

    Returns:
        int64 ``(steps, min(batch_size, n_samples))``.
    """
    size = min(batch_size, n_samples)
    stream = generator(seed, "minibatches", *purpose)
    epochs = [
        torch.randperm(n_samples, generator=stream)
        for _ in range(math.ceil(steps * size / n_samples))
    ]
    if not epochs:
        return torch.empty((0, size), dtype=torch.int64)
    return torch.cat(epochs)[: steps * size].view(steps, size)
