"""What every registered metric promises; a new file is tested as soon as it exists."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, log_loss, recall_score
from torch import Tensor
from torchmetrics.functional.classification import multiclass_f1_score, multiclass_recall

from models.metrics import METRICS
from models.randomness import generator
from models.scoring.metric import Metric, build_metric
from models.scoring.options import FitnessOptions
from models.scoring.predictions import Predictions

N_CLASSES, N_CANDIDATES, N_SAMPLES = 4, 5, 90
# Torchmetrics computes in single precision.
TOLERANCE = 1e-6


def _over_present(score: Callable[..., Any]) -> Callable[[Tensor, Tensor, Tensor], float]:
    def reference(classes: Tensor, labels: Tensor, _: Tensor) -> float:
        present = labels.unique().numpy()
        value = score(labels, classes, labels=present, average="macro", zero_division=0)
        return float(value)

    return reference


def _log_loss(_: Tensor, labels: Tensor, logits: Tensor) -> float:
    probabilities = logits.double().softmax(dim=1).numpy()
    return -float(log_loss(labels, probabilities, labels=range(N_CLASSES)))


# By scikit-learn; a metric that is not here is not compared, but keeps the other promises.
REFERENCES: dict[str, Callable[[Tensor, Tensor, Tensor], float]] = {
    "accuracy": lambda classes, labels, _: float(accuracy_score(labels, classes)),
    "balanced_accuracy": _over_present(recall_score),
    "macro_f1": _over_present(f1_score),
    "macro_recall": _over_present(recall_score),
    "log_loss": _log_loss,
}
# Probabilities of the classes among the labels, and among what is predicted at random.
MIXES = {
    "balanced": ([0.25] * 4, [0.25] * 4),
    "imbalanced": ([0.85, 0.1, 0.03, 0.02], [0.4, 0.3, 0.2, 0.1]),
    "class without samples that is predicted": ([0.6, 0.4, 0, 0], [0.3, 0.3, 0.4, 0]),
    "class without samples or predictions": ([0.5, 0.3, 0, 0.2], [0.4, 0.4, 0, 0.2]),
    "class that is never predicted": ([0.25] * 4, [0.5, 0.5, 0, 0]),
}


@pytest.fixture(params=METRICS.names())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def metric(name: str) -> Metric:
    return build_metric(name)


@pytest.fixture(params=list(MIXES.values()), ids=list(MIXES))
def drawn(request: pytest.FixtureRequest) -> tuple[Predictions, Tensor]:
    return draw(*request.param)


def draw(label_mix: list[float], prediction_mix: list[float]) -> tuple[Predictions, Tensor]:
    """Predictions that are right half of the time and drawn at random otherwise, with their logits."""
    stream = generator(0, "metrics")
    labels = torch.tensor(label_mix).multinomial(N_SAMPLES, replacement=True, generator=stream)
    shape = (N_CANDIDATES, N_SAMPLES)
    guesses = torch.tensor(prediction_mix).multinomial(
        N_CANDIDATES * N_SAMPLES, replacement=True, generator=stream
    )
    allowed = torch.tensor(prediction_mix) > 0
    is_right = (torch.rand(shape, generator=stream) < 0.5) & allowed[labels]
    classes = torch.where(is_right, labels, guesses.view(shape))
    logits = torch.rand(*shape, N_CLASSES, generator=stream)
    logits.scatter_(2, classes.unsqueeze(2), 1.5)
    return Predictions.of(logits, labels), logits


def rows(predictions: Predictions, chosen: slice) -> Predictions:
    return replace(
        predictions, classes=predictions.classes[chosen], losses=predictions.losses[chosen]
    )


def test_the_spec_takes_it_and_the_page_has_words_for_it(name: str) -> None:
    assert FitnessOptions.model_validate({"metric": name}).metric == name
    assert re.search(r"\w{3}", METRICS.config(name).__doc__ or "")


def test_values_are_those_of_scikit_learn(
    name: str, metric: Metric, drawn: tuple[Predictions, Tensor]
) -> None:
    if name not in REFERENCES:
        pytest.skip(f"no reference for {name}")
    predictions, logits = drawn
    expected = [
        REFERENCES[name](classes, predictions.labels, own)
        for classes, own in zip(predictions.classes, logits, strict=True)
    ]
    assert metric.values(predictions).tolist() == pytest.approx(expected, abs=TOLERANCE)


def test_values_are_finite_and_in_range(metric: Metric, drawn: tuple[Predictions, Tensor]) -> None:
    values = metric.values(drawn[0])
    assert values.shape == (N_CANDIDATES,)
    assert values.dtype == torch.float64
    assert torch.isfinite(values).all()
    if metric.is_share:
        assert ((values >= 0) & (values <= 1)).all()


def test_better_predictions_have_a_higher_value(metric: Metric) -> None:
    _, logits = draw(*MIXES["imbalanced"])
    labels = draw(*MIXES["imbalanced"])[0].labels
    right = torch.nn.functional.one_hot(labels, N_CLASSES)
    strengths = (0.0, 0.6, 4.0)
    values = [
        metric.values(Predictions.of(logits + strength * right, labels)).mean()
        for strength in strengths
    ]
    assert values[0] < values[1] < values[2]
    if metric.is_share:
        assert values[-1] == 1


def test_the_mean_of_the_sample_scores_is_the_value(
    metric: Metric, drawn: tuple[Predictions, Tensor]
) -> None:
    scores = metric.sample_scores(drawn[0])
    assert scores.shape == (N_CANDIDATES, N_SAMPLES)
    assert scores.dtype == torch.float64
    torch.testing.assert_close(scores.mean(dim=1), metric.values(drawn[0]), rtol=0, atol=TOLERANCE)


def test_candidates_together_are_scored_as_one_by_one(
    metric: Metric, drawn: tuple[Predictions, Tensor]
) -> None:
    predictions, _ = drawn
    alone = [rows(predictions, slice(row, row + 1)) for row in range(N_CANDIDATES)]
    for score in (metric.values, metric.sample_scores):
        together = score(predictions)
        assert torch.equal(together, torch.cat([score(own) for own in alone]))


def test_every_sample_scores_alike_where_all_is_right(metric: Metric) -> None:
    labels = torch.tensor([0, 0, 0, 1, 3])
    logits = 50.0 * torch.nn.functional.one_hot(labels, N_CLASSES).unsqueeze(0)
    scores = metric.sample_scores(Predictions.of(logits, labels))
    torch.testing.assert_close(scores, scores.mean().expand_as(scores), rtol=0, atol=1e-9)


def test_torchmetrics_own_averages_agree_where_all_classes_have_samples() -> None:
    predictions, _ = draw(*MIXES["imbalanced"])
    for name, reference in (("macro_f1", multiclass_f1_score), ("macro_recall", multiclass_recall)):
        expected = [
            reference(classes, predictions.labels, N_CLASSES, average="macro")
            for classes in predictions.classes
        ]
        values = build_metric(name).values(predictions)
        torch.testing.assert_close(values, torch.stack(expected).double(), rtol=0, atol=TOLERANCE)
