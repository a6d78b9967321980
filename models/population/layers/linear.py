"""Fully connected layers of all candidates: one batched matrix product."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from models.population.functions.linear import affine
from models.population.population_layer import PopulationLayer, stands_for


@stands_for(nn.Linear, NonDynamicallyQuantizableLinear)
class PopulationLinear(PopulationLayer):
    """As the function of a population."""

    def together(self, input: Tensor) -> Tensor:
        """Give ``(*, out)`` for ``(*, in)``."""
        return affine(input, self.stacked["weight"], self.stacked.get("bias"))
