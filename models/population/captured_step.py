"""Training steps as CUDA graphs: captured once per training, then replayed without Python.

Reference: torch's notes on CUDA semantics, "CUDA Graphs", whole-network capture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

# Before a capture, libraries must have chosen their kernels and made their workspaces.
WARM_UP_STEPS = 3


class CapturedStep:
    """One training step that is replayed with other minibatches."""

    def __init__(
        self,
        step: Callable[[Tensor], None],
        indices: Tensor,
        changed: Sequence[Tensor],
        optimizer: torch.optim.Optimizer | None,
    ) -> None:
        """Warm up, capture, and put back what warming up has changed.

        Args:
            step: Takes a minibatch's indices; its kernels and shapes are the same every time.
            indices: Some minibatch's, on the GPU.
            changed: Every tensor outside the optimizer that a step changes in place.
            optimizer: Of the step; its state is zero before the first step.
        """
        self._indices = indices.clone()
        before = [tensor.detach().clone() for tensor in changed]
        draws = torch.cuda.get_rng_state(indices.device)
        side = torch.cuda.Stream(indices.device)
        side.wait_stream(torch.cuda.current_stream(indices.device))
        with torch.cuda.stream(side):
            for _ in range(WARM_UP_STEPS):
                step(self._indices)
        torch.cuda.current_stream(indices.device).wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            step(self._indices)
        with torch.no_grad():
            for tensor, value in zip(changed, before, strict=True):
                tensor.copy_(value)
            for state in optimizer.state.values() if optimizer is not None else ():
                for value in state.values():
                    if isinstance(value, Tensor):
                        value.zero_()
        torch.cuda.set_rng_state(draws, indices.device)

    def __call__(self, indices: Tensor) -> None:
        """Run the step on a minibatch."""
        self._indices.copy_(indices)
        self._graph.replay()
