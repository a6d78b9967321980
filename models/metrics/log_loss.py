"""Minus the logarithmic loss."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor

from models.scoring.metric import METRICS, MetricConfig
from models.scoring.predictions import Predictions


class LogLossConfig(MetricConfig):
    """Minus the mean cross entropy in nats, at most 0; it is fine-grained, and knows about confidence."""

    kind: Literal["log_loss"] = "log_loss"


@METRICS.register(LogLossConfig)
class LogLoss:
    """Minus the mean cross entropy in nats, at most 0."""

    is_share: ClassVar[bool] = False
    most_classes: ClassVar[int | None] = None

    def values(self, predictions: Predictions) -> Tensor:
        """Minus the mean of the losses."""
        return self.sample_scores(predictions).mean(dim=1)

    def sample_scores(self, predictions: Predictions) -> Tensor:
        """Minus the loss."""
        return -predictions.losses
