"""How often each class occurs, is predicted and is predicted rightly, and what follows from it class by class.

Counted in time and memory linear in samples and classes: a confusion matrix of 100,000 classes would not fit anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.scoring.predictions import Predictions


@dataclass(frozen=True, slots=True)
class ClassCounts:
    """Counts of samples, int64.

    Attributes:
        hits: ``(P, C)``, of the class and classified as such.
        predicted: ``(P, C)``, classified as the class.
        actual: ``(C,)``, of the class.
    """

    hits: Tensor
    predicted: Tensor
    actual: Tensor

    @classmethod
    def of(cls, predictions: Predictions) -> ClassCounts:
        """Count."""
        n_candidates, n_classes = len(predictions.classes), predictions.n_classes
        first = torch.arange(n_candidates, device=predictions.classes.device) * n_classes
        flat = predictions.classes + first.unsqueeze(1)
        shape, size = (n_candidates, n_classes), n_candidates * n_classes
        return cls(
            hits=flat[predictions.hits].bincount(minlength=size).view(shape),
            predicted=flat.flatten().bincount(minlength=size).view(shape),
            actual=predictions.labels.bincount(minlength=n_classes),
        )

    @property
    def is_present(self) -> Tensor:
        """Which classes have samples, bool ``(C,)``."""
        return self.actual > 0

    def precision(self) -> Tensor:
        """Share of what is classified as a class that is of it: ``(P, C)``, NaN where nothing is."""
        return self.hits.double() / self.predicted

    def recall(self) -> Tensor:
        """Share of a class that is classified as such: ``(P, C)``, NaN for a class without samples."""
        return self.hits.double() / self.actual

    def f1(self) -> Tensor:
        """Harmonic mean of precision and recall, ``2 TP / (predicted + actual)``: ``(P, C)``, NaN for 0 / 0."""
        return 2 * self.hits.double() / (self.predicted + self.actual)
