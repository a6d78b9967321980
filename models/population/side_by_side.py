"""The population side by side in the channel axis: ``(B, P * channels, *pixels)``.

Without a copy where the value came from a layer that computes so.
"""

from __future__ import annotations

import torch
from torch import Tensor

from models.population.batched import is_batched, uncover


def beside_each_other(
    value: Tensor, size: int, *, channels_last: bool, keep_shared: bool = False
) -> tuple[Tensor, int]:
    """Give the candidates' channels side by side.

    Args:
        value: What one candidate sees, ``(B, channels, *pixels)``.
        size: Number of candidates ``P``.
        channels_last: Give images pixel by pixel in memory.
        keep_shared: Do not repeat a value that is the same for all candidates.

    Returns:
        ``(B, copies * channels, *pixels)`` and ``copies``, which is ``P``, or 1 if ``keep_shared`` spared the rest.
    """
    if is_batched(value):
        wide, copies = uncover(value, 1).flatten(1, 2), size
    elif keep_shared:
        wide, copies = value, 1
    else:
        batch, channels, *pixels = value.shape
        wide = value.unsqueeze(1).expand(batch, size, channels, *pixels).flatten(1, 2)
        copies = size
    if channels_last and wide.ndim == 4:
        wide = wide.contiguous(memory_format=torch.channels_last)
        if wide.shape[1] == 1 and not wide.requires_grad:
            # With one channel both orders are the same memory; only strides tell a convolution which one is meant.
            _, _, height, width = wide.shape
            wide = wide.as_strided(wide.shape, (height * width, 1, width, 1), wide.storage_offset())
    return wide, copies
