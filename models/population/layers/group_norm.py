"""Normalisations of each sample's channels: one over the channels of all candidates side by side."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import group_norm, instance_norm

from models.population.batched import cover
from models.population.population_layer import PopulationLayer, stands_for
from models.population.side_by_side import beside_each_other


@stands_for(nn.GroupNorm)
class PopulationGroupNorm(PopulationLayer):
    """The groups of one candidate follow those of the one before it."""

    def together(self, input: Tensor) -> Tensor:
        """Normalise ``(B, channels, *pixels)``."""
        size = len(self.stacked["weight"])
        wide, _ = beside_each_other(input, size, channels_last=self.channels_last)
        result = group_norm(
            wide,
            size * self.layer.num_groups,
            self.wide("weight"),
            self.wide("bias"),
            self.layer.eps,
        )
        return cover(result.unflatten(1, (size, -1)), 1)


@stands_for(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
class PopulationInstanceNorm(PopulationLayer):
    """Every channel of every sample by itself."""

    @classmethod
    def refusal(cls, layer: nn.Module) -> str | None:
        """Refuse running statistics: they are rare, and some candidates may freeze theirs."""
        return "running statistics" if getattr(layer, "track_running_stats", False) else None

    def together(self, input: Tensor) -> Tensor:
        """Normalise ``(B, channels, *pixels)``, or both without ``B``."""
        layer = self.layer
        if input.ndim == layer._get_no_batch_dim():
            return self.together(input.unsqueeze(0)).squeeze(0)
        size = len(self.stacked["weight"])
        wide, _ = beside_each_other(input, size, channels_last=self.channels_last)
        result = instance_norm(
            wide, weight=self.wide("weight"), bias=self.wide("bias"), eps=layer.eps
        )
        return cover(result.unflatten(1, (size, -1)), 1)
