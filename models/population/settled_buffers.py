"""Buffers that a network puts in the place of others, back where whoever watches or replays them looks."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import nn

from models.population.lending import joined


class SettledBuffers:
    """Remembers which tensors a network's buffers are.

    A module may change a buffer in place, or assign it anew: the new tensor's values then belong into the old one.
    """

    def __init__(self, network: nn.Module, names: Collection[str]) -> None:
        """Remember the buffers of these names."""
        self._buffers = [
            (module, local, buffer)
            for prefix, module in network.named_modules()
            for local, buffer in module.named_buffers(recurse=False)
            if joined(prefix, local) in names
        ]

    @torch.no_grad()
    def settle(self) -> None:
        """Copy what was assigned."""
        for module, name, buffer in self._buffers:
            assigned = module._buffers[name]
            if assigned is not None and assigned is not buffer:
                buffer.copy_(assigned)
                module._buffers[name] = buffer
