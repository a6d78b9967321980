"""Embeddings of all candidates: one look-up in their tables under each other."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from models.population.batched import cover, is_batched, uncover
from models.population.population_layer import PopulationLayer, stands_for


@stands_for(nn.Embedding)
class PopulationEmbedding(PopulationLayer):
    """Row ``i`` of candidate ``p`` is row ``p * V + i`` of the common table."""

    @classmethod
    def refusal(cls, layer: nn.Module) -> str | None:
        """Refuse what changes or depends on the table as a whole."""
        for option in ("max_norm", "scale_grad_by_freq", "sparse"):
            if getattr(layer, option):
                return f"{option} {getattr(layer, option)}"
        return None

    def together(self, input: Tensor) -> Tensor:
        """Give ``(*, width)`` for indices ``(*)``."""
        table = self.stacked["weight"]
        size, rows, _ = table.shape
        own = uncover(input, 0) if is_batched(input) else input.unsqueeze(0)
        offsets = torch.arange(0, size * rows, rows, device=own.device)
        found = embedding(own + offsets.view(-1, *[1] * (own.ndim - 1)), table.flatten(0, 1))
        if self.layer.padding_idx is not None:
            # The row for padding is read, but not trained.
            is_padding = (own == self.layer.padding_idx).unsqueeze(-1)
            found = torch.where(is_padding, found.detach(), found)
        return cover(found, 0)
