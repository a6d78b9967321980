"""Tests of figures by class."""

from __future__ import annotations

import pytest
import torch

from models.scoring.class_report import class_figures, mean_confusion
from models.scoring.metric import build_metric
from models.scoring.predictions import Predictions

NAMES = ("a", "b", "c", "d")
# Two replicates.  Class c is predicted in the second only and has no samples, class d has no part at all.
PREDICTIONS = Predictions(
    classes=torch.tensor([[0, 0, 1, 1], [0, 2, 2, 1]]),
    losses=torch.zeros(2, 4),
    labels=torch.tensor([0, 0, 0, 1]),
    n_classes=4,
)


def test_figures_are_means_over_replicates() -> None:
    first, second, *_ = class_figures(PREDICTIONS, NAMES)
    assert (first.name, first.support) == ("a", 3)
    assert (first.precision, first.recall) == pytest.approx((1.0, (2 / 3 + 1 / 3) / 2))
    assert first.f1 == pytest.approx((4 / 5 + 2 / 4) / 2)
    assert (second.precision, second.recall) == pytest.approx((3 / 4, 1.0))


def test_what_would_be_nothing_by_nothing_is_none() -> None:
    _, _, third, fourth = class_figures(PREDICTIONS, NAMES)
    assert (third.precision, third.recall, third.f1, third.support) == (0.0, None, None, 0)
    assert (fourth.precision, fourth.recall, fourth.f1) == (None, None, None)


def test_the_mean_over_classes_is_the_macro_f1() -> None:
    own = [figures.f1 for figures in class_figures(PREDICTIONS, NAMES) if figures.f1 is not None]
    expected = build_metric("macro_f1").values(PREDICTIONS).mean().item()
    assert sum(own) / len(own) == pytest.approx(expected, abs=1e-6)


def test_the_confusion_matrix_has_a_row_per_true_class() -> None:
    matrix = mean_confusion(PREDICTIONS, NAMES)
    assert matrix.tolist() == [[1.5, 0.5, 1, 0], [0, 1, 0, 0], [0] * 4, [0] * 4]
    assert matrix.sum(dim=1).tolist() == [own.support for own in class_figures(PREDICTIONS, NAMES)]


def test_a_class_that_has_no_name_is_called_by_its_number() -> None:
    assert [own.name for own in class_figures(PREDICTIONS, NAMES[:2])] == ["a", "b", "2"]
    assert mean_confusion(PREDICTIONS, NAMES[:2]).shape == (3, 3)
