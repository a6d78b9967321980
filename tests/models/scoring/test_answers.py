"""Tests of fitness and its intervals, alone and together with the source task."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from models.randomness import generator
from models.scoring.answers import Answers, Scoring
from models.scoring.metric import build_metric
from models.scoring.predictions import Predictions
from search.evaluation import Outcome
from search.statistics import crossed_interval

# Rows: true classes and how they are taken, of a rare class often for a frequent one.
CONFUSION = torch.tensor([[0.9, 0.08, 0.02], [0.3, 0.65, 0.05], [0.25, 0.25, 0.5]])
CLASS_SHARES = torch.tensor([0.6, 0.3, 0.1])


def predictions(classes: list[list[int]], labels: list[int]) -> Predictions:
    shape = (len(classes), len(labels))
    return Predictions(
        torch.tensor(classes), torch.zeros(shape, dtype=torch.float64), torch.tensor(labels), 3
    )


# Target accuracies 3/4 and 1/4, source accuracies 1/2 and 1.
TARGET = predictions([[0, 1, 2, 0], [0, 0, 0, 0]], [0, 1, 2, 1])
SOURCE = predictions([[0, 1], [1, 1]], [1, 1])


def test_fitness_is_the_weighted_sum_of_both_tasks() -> None:
    fitness = Scoring("accuracy", 0.2).fitness(Answers(TARGET, SOURCE))
    assert fitness.tolist() == pytest.approx([0.8 * 0.75 + 0.2 * 0.5, 0.8 * 0.25 + 0.2 * 1.0])


def test_the_source_task_is_judged_by_accuracy_whatever_the_metric() -> None:
    answers = Answers(TARGET, SOURCE)
    of_target = build_metric("macro_f1").values(TARGET)
    fitness = Scoring("macro_f1", 0.5).fitness(answers)
    assert fitness.tolist() == pytest.approx(
        [(of_target[0].item() + 0.5) / 2, (of_target[1].item() + 1) / 2]
    )


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "balanced_accuracy"])
def test_scores_of_both_tasks_have_the_fitness_as_their_mean(metric: str, weight: float) -> None:
    scoring, answers = Scoring(metric, weight), Answers(TARGET, SOURCE)
    scores = scoring.sample_scores(answers)
    assert scores.shape == (2, 6)
    torch.testing.assert_close(scores.mean(dim=1), scoring.fitness(answers), rtol=0, atol=1e-6)


def test_the_variance_of_two_tasks_is_the_sum_of_both() -> None:
    stream = generator(0, "two tasks")
    parts = [
        Predictions(
            torch.randint(3, (1, size), generator=stream),
            torch.zeros(1, size, dtype=torch.float64),
            torch.randint(3, (size,), generator=stream),
            3,
        )
        for size in (400, 100)
    ]
    scores = Scoring("accuracy", 0.3).sample_scores(Answers(parts[0], parts[1]))

    def variance(values: Tensor) -> float:
        return (values.var(correction=0) / values.numel()).item()

    hits = [part.hits.double() for part in parts]
    expected = 0.7**2 * variance(hits[0]) + 0.3**2 * variance(hits[1])
    assert variance(scores) == pytest.approx(expected, rel=1e-9)


def test_a_loss_that_is_not_finite_on_either_task_is_a_divergence() -> None:
    infinite = torch.zeros(2, 2, dtype=torch.float64)
    infinite[1, 0] = torch.inf
    hurt = Predictions(SOURCE.classes, infinite, SOURCE.labels, 3)
    judged = Scoring("accuracy", 0.5).judged(Answers(TARGET, hurt))
    assert judged == [(Outcome.MEASURED, 0.625, 0.0), (Outcome.DIVERGED, None, None)]


def _macro_f1() -> float:
    joint = CLASS_SHARES.unsqueeze(1) * CONFUSION
    return float((2 * joint.diag() / (joint.sum(dim=0) + joint.sum(dim=1))).mean())


def _mean_recall() -> float:
    return float(CONFUSION.diag().mean())


@pytest.mark.parametrize(
    ("metric", "truth"),
    [("macro_f1", _macro_f1), ("macro_recall", _mean_recall), ("balanced_accuracy", _mean_recall)],
)
def test_intervals_of_averages_over_classes_cover_the_truth(
    metric: str, truth: Callable[[], float]
) -> None:
    stream, scoring, covered, n_experiments = generator(0, metric), Scoring(metric), 0, 600
    for _ in range(n_experiments):
        labels = CLASS_SHARES.multinomial(300, replacement=True, generator=stream)
        classes = CONFUSION[labels].multinomial(1, generator=stream).T
        answers = Answers(Predictions(classes, torch.zeros(1, 300), labels, 3))
        interval = crossed_interval(scoring.sample_scores(answers).numpy())
        assert interval.low is not None
        assert interval.high is not None
        covered += interval.low <= truth() <= interval.high
    assert 0.92 <= covered / n_experiments <= 0.98
