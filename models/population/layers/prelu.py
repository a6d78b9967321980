"""Activations with weights, of all candidates."""

from __future__ import annotations

from torch import Tensor, nn

from models.population.population_layer import PopulationLayer, stands_for


@stands_for(nn.PReLU)
class PopulationPReLU(PopulationLayer):
    """Needs nothing of its own: the function that the ordinary layer calls has a population's."""

    def together(self, input: Tensor) -> Tensor:
        """Scale what is below zero."""
        result: Tensor = self.ordinary(input)
        return result
