"""Buffers of a network that are not part of its state."""

from __future__ import annotations

from torch import nn


class ScratchBuffers:
    """Remembers non-persistent buffers as they were built.

    Grafting does not set them, so what one candidate's training leaves there would reach the next candidate.
    """

    def __init__(self, network: nn.Module) -> None:
        """Copy them."""
        persistent = set(network.state_dict())
        self._pristine = [
            (module, name, buffer.clone())
            for prefix, module in network.named_modules()
            for name, buffer in module.named_buffers(recurse=False)
            if (f"{prefix}.{name}" if prefix else name) not in persistent
        ]

    def restore(self) -> None:
        """Put the copies back."""
        for module, name, buffer in self._pristine:
            setattr(module, name, buffer.clone())
