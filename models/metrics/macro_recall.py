"""Macro-averaged recall: of one label per sample, the same number as balanced accuracy, under its other name."""

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


class MacroRecallConfig(MetricConfig):
    """Recall, averaged over the classes that have samples, 0 to 1; the same as balanced_accuracy."""

    kind: Literal["macro_recall"] = "macro_recall"


@METRICS.register(MacroRecallConfig)
class MacroRecall:
    """Recall, averaged over the classes that have samples, 0 to 1."""

    is_share: ClassVar[bool] = True
    most_classes: ClassVar[int | None] = MOST_CLASSES

    def values(self, predictions: Predictions) -> Tensor:
        """Mean of the recalls of the classes."""
        # Importing it takes seconds.
        from torchmetrics.functional.classification import multiclass_recall  # noqa: PLC0415

        return mean_over_present_classes(multiclass_recall, predictions)

    def sample_scores(self, predictions: Predictions) -> Tensor:
        """Linearisation of the mean recall."""
        return recall_sample_scores(predictions)
