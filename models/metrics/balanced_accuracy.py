"""Balanced accuracy.

Brodersen et al., "The Balanced Accuracy and Its Posterior Distribution", ICPR 2010.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor

from models.scoring.class_averages import (
    MOST_CLASSES,
    mean_over_present_classes,
    recall_sample_scores,
)
from models.scoring.metric import METRICS, MetricConfig
from models.scoring.predictions import Predictions


class BalancedAccuracyConfig(MetricConfig):
    """Accuracy within each class, averaged over the classes that have samples, 0 to 1."""

    kind: Literal["balanced_accuracy"] = "balanced_accuracy"


@METRICS.register(BalancedAccuracyConfig)
class BalancedAccuracy:
    """Accuracy within each class, averaged over the classes that have samples, 0 to 1."""

    is_share: ClassVar[bool] = True
    most_classes: ClassVar[int | None] = MOST_CLASSES

    def values(self, predictions: Predictions) -> Tensor:
        """Mean of the accuracies of the classes."""
        # Importing it takes seconds.
        from torchmetrics.functional.classification import multiclass_accuracy  # noqa: PLC0415

        return mean_over_present_classes(multiclass_accuracy, predictions)

    def sample_scores(self, predictions: Predictions) -> Tensor:
        """Linearisation of the mean recall, which is the same."""
        return recall_sample_scores(predictions)
