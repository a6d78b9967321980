"""Means over classes, every class counting alike however many samples it has."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from models.scoring.class_counts import ClassCounts
from models.scoring.predictions import Predictions

# Torchmetrics counts in a matrix of classes by classes: 32 MB per candidate at this many.
MOST_CLASSES = 2000


class ClassWise(Protocol):
    """A function of torchmetrics that scores each class."""

    def __call__(
        self, preds: Tensor, target: Tensor, num_classes: int, average: None, *, validate_args: bool
    ) -> Tensor:
        """Give ``(C,)`` from ``(N,)`` and ``(N,)``."""
        ...


def mean_over_present_classes(score: ClassWise, predictions: Predictions) -> Tensor:
    """Average a score over the classes that have samples: float64 ``(P,)``.

    One candidate at a time: torchmetrics' own way of taking several at once needs memory for candidates times samples
    times classes, and is slower.
    """
    n_classes, labels = predictions.n_classes, predictions.labels
    rows = [
        score(classes, labels, n_classes, average=None, validate_args=False)
        for classes in predictions.classes
    ]
    is_present = labels.bincount(minlength=n_classes) > 0
    return torch.stack(rows)[:, is_present].double().mean(dim=1)


def recall_sample_scores(predictions: Predictions) -> Tensor:
    """Linearisation of the mean recall R: sample i of class c scores ``R + N / (C N_c) (hit_i - R_c)``, ``(P, N)``.

    How many samples a class has thus adds no variance, as befits a metric that does not depend on it.
    """
    counts, labels = ClassCounts.of(predictions), predictions.labels
    recall = counts.recall()
    mean = recall[:, counts.is_present].mean(dim=1, keepdim=True)
    weight = len(labels) / (counts.is_present.sum() * counts.actual[labels]).double()
    return mean + weight * (predictions.hits.double() - recall[:, labels])
