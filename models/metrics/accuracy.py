"""Accuracy."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor, float64

from models.scoring.metric import METRICS, MetricConfig
from models.scoring.predictions import Predictions


class AccuracyConfig(MetricConfig):
    """Share of the samples that are classified rightly, 0 to 1."""

    kind: Literal["accuracy"] = "accuracy"


@METRICS.register(AccuracyConfig)
class Accuracy:
    """Share of the samples that are classified rightly, 0 to 1."""

    is_share: ClassVar[bool] = True
    most_classes: ClassVar[int | None] = None

    def values(self, predictions: Predictions) -> Tensor:
        """Mean of the hits."""
        return self.sample_scores(predictions).mean(dim=1)

    def sample_scores(self, predictions: Predictions) -> Tensor:
        """1 for a hit, else 0."""
        return predictions.hits.to(float64)
