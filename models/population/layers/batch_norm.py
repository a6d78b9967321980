"""Batch normalisations of all candidates: one over channels that lie side by side."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm

from models.population.batched import cover
from models.population.gated_norm import gated_batch_norm
from models.population.population_layer import PopulationLayer, stands_for
from models.population.side_by_side import beside_each_other


@stands_for(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
class PopulationBatchNorm(PopulationLayer):
    """Every candidate has its own statistics, of the minibatch and running.

    ``frozen_rows``, bool ``(P,)``, tells which candidates keep their running statistics and normalise by them; None
    where they all do as ``training`` says.
    """

    frozen_rows: Tensor | None = None

    @classmethod
    def refusal(cls, layer: nn.Module) -> str | None:
        """Refuse a cumulative average, whose weight may differ between candidates, and abandoned statistics."""
        if getattr(layer, "momentum", None) is None:
            return "momentum None, a cumulative average of statistics"
        if not getattr(layer, "track_running_stats", False) and layer.running_mean is not None:
            return "running statistics that it does not track"
        return None

    def together(self, input: Tensor) -> Tensor:
        """Normalise ``(B, channels, *pixels)`` or ``(B, channels)``."""
        layer = self.layer
        size = len(next(iter(self.stacked.values())))
        wide, _ = beside_each_other(input, size, channels_last=self.channels_last)
        running = self.wide("running_mean"), self.wide("running_var")
        has_statistics = running[0] is not None
        if self.training and has_statistics:
            self._count()
        if self.training and self.frozen_rows is not None and has_statistics:
            mean, var = (statistics for statistics in running if statistics is not None)
            result = gated_batch_norm(
                wide,
                mean,
                var,
                self.wide("weight"),
                self.wide("bias"),
                self.frozen_rows.repeat_interleave(layer.num_features),
                layer.momentum,
                layer.eps,
            )
        else:
            result = batch_norm(
                wide,
                *running,
                self.wide("weight"),
                self.wide("bias"),
                self.training or not has_statistics,
                layer.momentum,
                layer.eps,
            )
        return cover(result.unflatten(1, (size, -1)), 1)

    def _count(self) -> None:
        counter = self.stacked["num_batches_tracked"]
        counter += 1 if self.frozen_rows is None else torch.logical_not(self.frozen_rows)
