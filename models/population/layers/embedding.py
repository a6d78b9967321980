"""Embeddings of all candidates, as the function of a population."""

from __future__ import annotations

from torch import Tensor, nn

from models.population.functions.embedding import rows_of_tables
from models.population.population_layer import PopulationLayer, stands_for


@stands_for(nn.Embedding)
class PopulationEmbedding(PopulationLayer):
    """Tables under each other."""

    @classmethod
    def refusal(cls, layer: nn.Module) -> str | None:
        """Refuse what changes or depends on the table as a whole."""
        for option in ("max_norm", "scale_grad_by_freq", "sparse"):
            if getattr(layer, option):
                return f"{option} {getattr(layer, option)}"
        return None

    def together(self, input: Tensor) -> Tensor:
        """Give ``(*, width)`` for indices ``(*)``."""
        return rows_of_tables(input, self.stacked["weight"], self.layer.padding_idx)
