"""Tests of how much classes count."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from models.recipe.class_weights import balanced_draws, class_weights, sample_weights
from search.errors import InvalidInputError

LABELS = torch.tensor([0, 0, 0, 0, 1, 1, 2])


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    weights = class_weights("balanced", LABELS, 3)
    assert weights is not None
    expected = compute_class_weight("balanced", classes=np.arange(3), y=LABELS.numpy())
    torch.testing.assert_close(weights, torch.from_numpy(expected).float())


def test_balanced_classes_count_alike_and_samples_have_weight_1_on_average() -> None:
    weights = sample_weights("balanced", LABELS, 3)
    assert weights is not None
    sums = torch.zeros(3).index_add(0, LABELS, weights)
    torch.testing.assert_close(sums, torch.full((3,), 7 / 3))
    assert weights.mean().item() == pytest.approx(1)


def test_a_class_without_a_training_sample_changes_nothing() -> None:
    weights = class_weights("balanced", LABELS, 5)
    fewer = class_weights("balanced", LABELS, 3)
    assert weights is not None
    assert fewer is not None
    torch.testing.assert_close(weights, torch.cat([fewer, torch.ones(2)]))


def test_given_weights_are_taken_as_they_are() -> None:
    weights = sample_weights((1.0, 2.0, 0.5), LABELS, 3)
    assert weights is not None
    assert weights.tolist() == [1, 1, 1, 1, 2, 2, 0.5]


def test_without_weights_there_are_none() -> None:
    assert class_weights(None, LABELS, 3) is None
    assert sample_weights(None, LABELS, 3) is None


@pytest.mark.parametrize("weights", [(), (1.0, 2.0), (1.0,) * 4])
def test_weights_for_another_number_of_classes_are_refused(weights: tuple[float, ...]) -> None:
    message = f"class_weights: {len(weights)} weights given, expected one weight per class, 3"
    with pytest.raises(InvalidInputError, match=message):
        class_weights(weights, LABELS, 3)


def test_balanced_draws_give_every_class_the_same_share() -> None:
    draws = balanced_draws(torch.tensor([0, 0, 3, 0, 3, 1]))
    torch.testing.assert_close(draws, torch.tensor([3, 3, 2, 3, 2, 1]).double().reciprocal())
