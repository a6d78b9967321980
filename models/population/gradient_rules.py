"""What is done to gradients between the backward pass and the optimizer: penalties, and a bound on their norm."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.checkpoints import State
from models.recipe.freezing import Freezing
from models.recipe.options import RecipeOptions

# Keeps a norm of 0 from being divided by, as torch's clip_grad_norm_ does.
TINY_NORM = 1e-6


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A leaf, where it started, and for each row whether it is trained, bool ``(P,)``; None if all are."""

    tensor: Tensor
    start: Tensor | None
    is_trained: Tensor | None


class GradientRules:
    """Rules of one chunk; every one is element-wise, or per candidate over all its leaves."""

    def __init__(self, leaves: State, options: RecipeOptions, freezing: Freezing) -> None:
        """Remember where leaves start, if anything pulls towards that.

        Args:
            leaves: ``(P, *shape)`` per tensor; for a single candidate also ``(*shape)``.
            options: Which rules there are.
            freezing: What each candidate freezes.
        """
        self._options, self._n_rows = options, len(freezing.frozen)
        self._is_idle = not (options.l1 or options.l2_sp or options.gradient_norm)
        self._leaves: list[_Leaf] = []
        if self._is_idle:
            return
        for name, tensor in leaves.items():
            start = tensor.detach().clone() if options.l2_sp else None
            frozen = torch.tensor(freezing.rows(name))
            is_trained = (~frozen).to(tensor.device) if frozen.any() else None
            self._leaves.append(_Leaf(tensor, start, is_trained))

    @torch.no_grad()
    def apply(self) -> None:
        """Change the gradients in place; leaves without one are left alone."""
        if self._is_idle:
            return
        for leaf in self._leaves:
            if leaf.tensor.grad is None:
                continue
            if self._options.l1:
                leaf.tensor.grad.add_(leaf.tensor.sign(), alpha=self._options.l1)
            if leaf.start is not None:
                leaf.tensor.grad.add_(leaf.tensor - leaf.start, alpha=self._options.l2_sp)
        if self._options.gradient_norm is not None:
            self._bound(self._options.gradient_norm)

    def _bound(self, largest: float) -> None:
        """Scale each candidate's gradient; Pascanu et al., "On the difficulty of training RNNs", ICML 2013, 3.2."""
        leaves = [(leaf, leaf.tensor.grad) for leaf in self._leaves if leaf.tensor.grad is not None]
        squares = torch.stack([self._squares(leaf, gradient) for leaf, gradient in leaves]).sum(0)
        scale = (largest / (squares.sqrt() + TINY_NORM)).clamp(max=1)
        for _, gradient in leaves:
            gradient.mul_(scale.view(-1, *[1] * (gradient.ndim - 1)) if scale.ndim else scale)

    def _squares(self, leaf: _Leaf, gradient: Tensor) -> Tensor:
        """Sum of squares per candidate, ``(P,)``; of a single one ``()``."""
        if self._n_rows == 1:
            return gradient.square().sum()
        squares = gradient.square().flatten(1).sum(1)
        # Selected, not multiplied: what is not trained may have no finite gradient.
        return squares if leaf.is_trained is None else torch.where(leaf.is_trained, squares, 0)
