"""An optimizer over stacked leaves whose learning rate depends on the step, on the leaf and on the candidate.

torch's optimizers have one rate per leaf.  What they change is proportional to it, so rows of a leaf that want less
than the leaf's rate go that share of the way only.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.checkpoints import State
from models.layout import Recipe
from models.recipe.schedule import rate_factors
from models.recipe.training_optimizer import ParameterGroup, build_training_optimizer


@dataclass(frozen=True, slots=True)
class _UnevenLeaf:
    """A leaf and the share of its learning rate that each row takes, ``(P, 1, ...)``."""

    leaf: Tensor
    shares: Tensor


class RatedOptimizer:
    """Changes leaves in place, each row at its own rate."""

    def __init__(self, leaves: State, recipe: Recipe, n_steps: int, *, captured: bool) -> None:
        """Construct the recipe's optimizer.

        Args:
            leaves: ``(P, *shape)`` per tensor; ``(*shape)`` for a single candidate.
            recipe: Gives the optimizer, the schedule and the rates.
            n_steps: Of the whole training.
            captured: Steps are replayed as CUDA graphs, so that rates must lie on the GPU.
        """
        self._factors = rate_factors(recipe.objective.config.schedule, n_steps)
        self._uneven: list[_UnevenLeaf] = []
        by_rate: dict[float, list[Tensor]] = {}
        for name, leaf in leaves.items():
            rates = _rates(name, recipe)
            highest = max(rates)
            by_rate.setdefault(highest, []).append(leaf)
            if min(rates) < highest:
                shares = torch.tensor([rate / highest for rate in rates], dtype=leaf.dtype)
                shares = shares.to(leaf.device)
                self._uneven.append(_UnevenLeaf(leaf, shares.view(-1, *[1] * (leaf.ndim - 1))))
        self._rates = list(by_rate)
        device = next(iter(leaves.values())).device
        groups: list[ParameterGroup] = [
            {"params": params, "lr": torch.tensor(rate, device=device) if captured else rate}
            for rate, params in by_rate.items()
        ]
        self.optimizer = build_training_optimizer(recipe.objective.config.optimizer, groups)

    def begin(self, step: int) -> None:
        """Set the rates of a step; outside a captured graph."""
        for group, rate in zip(self.optimizer.param_groups, self._rates, strict=True):
            now = rate * self._factors[step]
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(now)
            else:
                group["lr"] = now

    def zero_grad(self) -> None:
        """Forget the gradients."""
        self.optimizer.zero_grad()

    @torch.no_grad()
    def step(self) -> None:
        """Change the leaves by their gradients."""
        before = [uneven.leaf.clone() for uneven in self._uneven]
        self.optimizer.step()
        for uneven, start in zip(self._uneven, before, strict=True):
            # Exact where the share is 0 or 1.
            uneven.leaf.copy_(torch.lerp(start, uneven.leaf, uneven.shares))


def _rates(name: str, recipe: Recipe) -> tuple[float, ...]:
    factors = recipe.rate_factors.get(name)
    if factors is None:
        return recipe.learning_rates
    return tuple(a * b for a, b in zip(recipe.learning_rates, factors, strict=True))
