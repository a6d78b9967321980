"""Early stopping, candidate by candidate: a stopped one no longer changes while its neighbours train on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from models.data.dataset import Examples
from models.recipe.options import EarlyStopping
from models.scoring.predictions import sample_losses


class Stopping:
    """Watches the validation losses of one chunk."""

    def __init__(
        self, options: EarlyStopping, state: Mapping[str, Tensor], validate: Callable[[], Tensor]
    ) -> None:
        """Start watching.

        Args:
            options: When to look, and when to stop.
            state: ``(P, *shape)`` per tensor; training changes these very tensors in place.
            validate: Gives the losses ``(P,)``.
        """
        self._options, self._validate = options, validate
        self._tensors = list(state.values())
        first = self._tensors[0]
        self._kept = [tensor.detach().clone() for tensor in self._tensors]
        self._stopped = torch.zeros(len(first), dtype=torch.bool, device=first.device)
        self._any_stopped = first.is_cuda
        self._best: Tensor | None = None
        self._looks_without_progress: Tensor | None = None

    @torch.no_grad()
    def hold(self) -> None:
        """Put back what stopped candidates had; after every step.

        On a GPU in any case: a captured step does the same work every time.
        """
        if not self._any_stopped:
            return
        for tensor, kept in zip(self._tensors, self._kept, strict=True):
            rows = self._stopped.view(-1, *[1] * (tensor.ndim - 1))
            tensor.copy_(torch.where(rows, kept, tensor))

    @torch.no_grad()
    def look(self, step: int) -> bool:
        """Look, if it is time.

        Args:
            step: Number of the step that is done, from 0.

        Returns:
            Whether all candidates have stopped.
        """
        if (step + 1) % self._options.interval:
            return False
        losses = self._validate()
        if self._best is None or self._looks_without_progress is None:
            self._best = losses
            self._looks_without_progress = torch.zeros_like(losses, dtype=torch.int64)
            return False
        # A loss that is not finite is no progress either.
        is_lower = losses < self._best - self._options.min_improvement
        self._best = torch.where(is_lower, losses, self._best)
        self._looks_without_progress = torch.where(is_lower, 0, self._looks_without_progress + 1)
        ends = (self._looks_without_progress >= self._options.patience) & ~self._stopped
        for tensor, kept in zip(self._tensors, self._kept, strict=True):
            rows = ends.view(-1, *[1] * (tensor.ndim - 1))
            kept.copy_(torch.where(rows, tensor, kept))
        self._stopped |= ends
        self._any_stopped = self._any_stopped or bool(self._stopped.any())
        return bool(self._stopped.all())


def mean_losses(logits: Tensor, part: Examples) -> Tensor:
    """Mean cross entropy of each candidate, ``(P,)`` from ``(P, N, C)``."""
    return sample_losses(logits, part.labels).mean(1)
