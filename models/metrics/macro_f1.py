"""Macro-averaged F1: the mean of the classes' F1, not the F1 of mean precision and mean recall.

Opitz and Burst, "Macro F1 and Macro F1", 2019, arXiv:1911.03347, on the two and why to prefer this one.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor

from models.scoring.class_averages import MOST_CLASSES, mean_over_present_classes
from models.scoring.class_counts import ClassCounts
from models.scoring.metric import METRICS, MetricConfig
from models.scoring.predictions import Predictions


class MacroF1Config(MetricConfig):
    """Harmonic mean of precision and recall, averaged over the classes that have samples, 0 to 1."""

    kind: Literal["macro_f1"] = "macro_f1"


@METRICS.register(MacroF1Config)
class MacroF1:
    """Harmonic mean of precision and recall, averaged over the classes that have samples, 0 to 1."""

    is_share: ClassVar[bool] = True
    most_classes: ClassVar[int | None] = MOST_CLASSES

    def values(self, predictions: Predictions) -> Tensor:
        """Mean of the F1 of the classes."""
        # Importing it takes seconds.
        from torchmetrics.functional.classification import multiclass_f1_score  # noqa: PLC0415

        return mean_over_present_classes(multiclass_f1_score, predictions)

    def sample_scores(self, predictions: Predictions) -> Tensor:
        """Linearisation: F1 of class c is A_c / B_c with A = 2 TP / N and B = (predicted + actual) / N.

        Sample i adds a_ic = 2 [both are c] to A and b_ic = [predicted c] + [actual c] to B, so it scores
        ``F1 + mean over c of (a_ic - F1_c b_ic) / B_c``; only its two classes have a part in that.
        """
        counts, labels = ClassCounts.of(predictions), predictions.labels
        of_classes = counts.f1()
        mean = of_classes[:, counts.is_present].mean(dim=1, keepdim=True)
        # A predicted class without samples is not averaged over.
        share = counts.is_present.double() / counts.is_present.sum()
        # (P, C): one over B_c, times the class's share in the mean.
        weight = share * len(labels) / (counts.predicted + counts.actual).clamp(min=1)
        slope = of_classes.nan_to_num(0.0) * weight
        at_label, at_prediction = slope[:, labels], slope.gather(1, predictions.classes)
        return mean + 2 * predictions.hits * weight[:, labels] - at_label - at_prediction
