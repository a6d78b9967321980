"""Tests of scores."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError
from torch.nn.functional import cross_entropy

from models.metrics import FitnessOptions, fitness, sample_hits, sample_losses, sample_scores

LABELS = torch.tensor([0, 1, 1])
LOGITS = torch.tensor([[[2.0, 0.0], [0.0, 2.0], [2.0, 0.0]], [[0.0, 2.0], [0.0, 2.0], [0.0, 2.0]]])


def test_accuracy_is_the_share_of_right_answers() -> None:
    hits, losses = sample_hits(LOGITS, LABELS), sample_losses(LOGITS, LABELS)
    assert hits.tolist() == [[True, True, False], [False, True, True]]
    assert fitness("accuracy", hits, losses).tolist() == pytest.approx([2 / 3, 2 / 3])


def test_losses_are_cross_entropies_per_candidate_and_sample() -> None:
    losses = sample_losses(LOGITS, LABELS)
    for row in range(2):
        expected = cross_entropy(LOGITS[row].double(), LABELS, reduction="none")
        torch.testing.assert_close(losses[row], expected)


def test_log_loss_is_minus_the_mean_loss() -> None:
    uniform = torch.zeros(1, 3, 2)
    hits, losses = sample_hits(uniform, LABELS), sample_losses(uniform, LABELS)
    assert fitness("log_loss", hits, losses).tolist() == pytest.approx([-math.log(2)])


@pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
def test_fitness_is_the_mean_of_the_sample_scores(metric: str) -> None:
    name = FitnessOptions.model_validate({"metric": metric}).metric
    hits, losses = sample_hits(LOGITS, LABELS), sample_losses(LOGITS, LABELS)
    scores = sample_scores(name, hits, losses)
    torch.testing.assert_close(fitness(name, hits, losses), scores.mean(dim=1))


def test_an_unknown_metric_is_refused() -> None:
    with pytest.raises(ValidationError, match="'accuracy' or 'log_loss'"):
        FitnessOptions.model_validate({"metric": "f1"})
