"""How well each class is told from the others: means over networks, or over replicates of one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from models.scoring.class_counts import ClassCounts
from models.scoring.predictions import Predictions


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """Figures of one class, each from 0 to 1 or None where it would be 0 / 0.

    Attributes:
        name: Of the class.
        precision: Mean over the replicates that predict the class at all.
        recall: Mean over replicates; None for a class without samples.
        f1: Likewise; the mean over classes that have one is the macro F1.
        support: Number of samples of the class.
    """

    name: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int


def class_figures(predictions: Predictions, names: Sequence[str]) -> tuple[ClassFigures, ...]:
    """Figures of every class, in order; classes that are predicted but have no name are called by their number."""
    counts = ClassCounts.of(predictions)
    precisions = counts.precision().nanmean(dim=0).tolist()
    recalls, f1s = counts.recall().mean(dim=0).tolist(), counts.f1().mean(dim=0).tolist()
    supports = counts.actual.tolist()
    return tuple(
        ClassFigures(
            name=name,
            precision=_number_or_none(precisions[number]),
            recall=recalls[number] if supports[number] else None,
            f1=f1s[number] if supports[number] else None,
            support=supports[number],
        )
        for number, name in enumerate(_all_names(predictions, names))
    )


def mean_confusion(predictions: Predictions, names: Sequence[str]) -> Tensor:
    """Mean counts over replicates, float64 ``(C, C)``: row the true class, column the predicted one."""
    n_classes, n_replicates = len(_all_names(predictions, names)), len(predictions.classes)
    flat = (predictions.labels * n_classes + predictions.classes).flatten()
    counts = flat.bincount(minlength=n_classes**2).view(n_classes, n_classes)
    return counts.double() / n_replicates


def _all_names(predictions: Predictions, names: Sequence[str]) -> tuple[str, ...]:
    largest = int(predictions.classes.max())
    return (*names, *(str(number) for number in range(len(names), largest + 1)))


def _number_or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
