"""Training steps as CUDA graphs: captured once per training, then replayed without Python.

Reference: torch's notes on CUDA semantics, "CUDA Graphs", whole-network capture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

# Before a capture, libraries must have chosen their kernels and made their workspaces.
WARM_UP_STEPS = 3

Feed = dict[str, Tensor]


class CapturedStep:
    """One training step that is replayed with other minibatches."""

    def __init__(
        self,
        step: Callable[[Feed], None],
        feed: Feed,
        changed: Sequence[Tensor],
        optimizer: torch.optim.Optimizer | None,
    ) -> None:
        """Warm up, capture, and put back what warming up has changed.

        Args:
            step: Takes what distinguishes a minibatch; its kernels and shapes are the same every time.
            feed: Some minibatch's, on the GPU.
            changed: Every tensor outside the optimizer that a step changes in place.
            optimizer: Of the step; its state is zero before the first step.
        """
        self._feed = {name: tensor.clone() for name, tensor in feed.items()}
        device = next(iter(feed.values())).device
        before = [tensor.detach().clone() for tensor in changed]
        draws = torch.cuda.get_rng_state(device)
        side = torch.cuda.Stream(device)
        side.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(side):
            for _ in range(WARM_UP_STEPS):
                step(self._feed)
        torch.cuda.current_stream(device).wait_stream(side)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            step(self._feed)
        with torch.no_grad():
            for tensor, value in zip(changed, before, strict=True):
                tensor.copy_(value)
            for state in optimizer.state.values() if optimizer is not None else ():
                for value in state.values():
                    if isinstance(value, Tensor):
                        value.zero_()
        torch.cuda.set_rng_state(draws, device)

    def __call__(self, feed: Feed) -> None:
        """Run the step on a minibatch."""
        for name, tensor in feed.items():
            self._feed[name].copy_(tensor)
        self._graph.replay()
