"""Normalisations over the last axes of all candidates: one normalisation, then each candidate's own scale."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, rms_norm

from models.population.batched import cover, is_batched, uncover
from models.population.population_layer import PopulationLayer, stands_for


class _LastAxesNorm(PopulationLayer):
    """What normalisations over the last axes have in common; those without weights have no tensors to stack."""

    def scaled(self, input: Tensor, normalise: Callable[[Tensor], Tensor]) -> Tensor:
        """Normalise ``(*, *normalised)``, then scale and shift."""
        shape = self.layer.normalized_shape
        # Normalised once where it is the same for all candidates.
        values = uncover(input, 0) if is_batched(input) else input.unsqueeze(0)
        normal = normalise(values)
        weight = self.stacked["weight"]
        per_row = (len(weight), *[1] * (values.ndim - 1 - len(shape)), *shape)
        bias = self.stacked.get("bias")
        result = (
            normal * weight.view(per_row)
            if bias is None
            else torch.addcmul(bias.view(per_row), normal, weight.view(per_row))
        )
        return cover(result.to(normal.dtype), 0)


@stands_for(nn.LayerNorm)
class PopulationLayerNorm(_LastAxesNorm):
    """Subtracts the mean and divides by the standard deviation."""

    def together(self, input: Tensor) -> Tensor:
        """Normalise ``(*, *normalised)``."""
        layer = self.layer
        return self.scaled(input, lambda x: layer_norm(x, layer.normalized_shape, eps=layer.eps))


@stands_for(nn.RMSNorm)
class PopulationRMSNorm(_LastAxesNorm):
    """Divides by the root of the mean square."""

    def together(self, x: Tensor) -> Tensor:
        """Normalise ``(*, *normalised)``."""
        layer = self.layer
        return self.scaled(x, lambda x: rms_norm(x, layer.normalized_shape, eps=layer.eps))
