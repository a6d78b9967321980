"""Tests of what networks say of samples."""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy

from models.scoring.predictions import Predictions

LABELS = torch.tensor([0, 1, 1])
LOGITS = torch.tensor([[[2.0, 0.0], [0.0, 2.0], [2.0, 0.0]], [[0.0, 2.0], [0.0, 2.0], [0.0, 2.0]]])


def test_the_largest_logit_is_the_class() -> None:
    predictions = Predictions.of(LOGITS, LABELS)
    assert predictions.classes.tolist() == [[0, 1, 0], [1, 1, 1]]
    assert predictions.hits.tolist() == [[True, True, False], [False, True, True]]
    assert predictions.n_classes == 2


def test_losses_are_cross_entropies_per_candidate_and_sample() -> None:
    losses = Predictions.of(LOGITS, LABELS).losses
    for row in range(2):
        expected = cross_entropy(LOGITS[row].double(), LABELS, reduction="none")
        torch.testing.assert_close(losses[row], expected)
