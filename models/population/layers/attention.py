"""Multi-head attention of all candidates."""

from __future__ import annotations

from typing import Any

from torch import nn

from models.population.population_layer import PopulationLayer, stands_for


@stands_for(nn.MultiheadAttention)
class PopulationAttention(PopulationLayer):
    """Needs nothing of its own: the function that the ordinary layer calls has a population's."""

    def together(self, *args: Any, **options: Any) -> Any:
        """Attend; takes all options of the ordinary layer."""
        return self.ordinary(*args, **options)
