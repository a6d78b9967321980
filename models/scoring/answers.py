"""From predictions to fitness: the metric on the target task and, where that counts, accuracy on the source task."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.metrics.accuracy import Accuracy
from models.scoring.metric import Metric, build_metric
from models.scoring.predictions import Predictions
from search.evaluation import Outcome

Judged = tuple[Outcome, float | None, float | None]


@dataclass(frozen=True, slots=True)
class Answers:
    """What the same networks say of one part, validation or test.

    Attributes:
        target: Of the target task.
        source: Of the source task; None where it is not judged.
    """

    target: Predictions
    source: Predictions | None = None


class Scoring:
    """Scores answers; knows nothing about networks."""

    def __init__(self, metric: str, source_weight: float = 0.0) -> None:
        """Name the metric of the target task, and the share of the source task's accuracy, 0 to 1."""
        self._metric: Metric = build_metric(metric)
        self._accuracy = Accuracy()
        self._source_weight = source_weight

    def fitness(self, answers: Answers) -> Tensor:
        """Give ``(1 - w) metric + w accuracy on the source``, float64 ``(P,)``."""
        values = self._metric.values(answers.target)
        if answers.source is None:
            return values
        weight = self._source_weight
        return (1 - weight) * values + weight * self._accuracy.values(answers.source)

    def judged(self, answers: Answers) -> list[Judged]:
        """Outcome, fitness and loss on the target task per candidate; diverged if any loss is not finite."""
        is_sound = torch.isfinite(answers.target.losses).all(dim=1)
        if answers.source is not None:
            is_sound &= torch.isfinite(answers.source.losses).all(dim=1)
        values, losses = self.fitness(answers), answers.target.losses.mean(dim=1)
        return [
            (Outcome.MEASURED, value, loss) if sound else (Outcome.DIVERGED, None, None)
            for sound, value, loss in zip(
                is_sound.tolist(), values.tolist(), losses.tolist(), strict=True
            )
        ]

    def target_scores(self, answers: Answers) -> Tensor:
        """Scores of the target task's samples whose mean is the metric, float64 ``(P, N)``."""
        return self._metric.sample_scores(answers.target)

    def source_scores(self, source: Predictions) -> Tensor:
        """Scores of the source task's samples whose mean is the accuracy, float64 ``(P, N)``."""
        return self._accuracy.sample_scores(source)

    def sample_scores(self, answers: Answers) -> Tensor:
        """Scores of all samples whose mean is the fitness, float64 ``(P, N)``; those of the target task come first.

        The two tasks' samples are independent.  Deviations from a task's own mean are stretched by its weight and by N
        over its number of samples, so that the variance of the mean of all is the sum of both tasks' variances.
        """
        target = self.target_scores(answers)
        if answers.source is None:
            return target
        source, weight = self.source_scores(answers.source), self._source_weight
        n_target, n_source = target.shape[1], source.shape[1]
        n_samples = n_target + n_source
        own, other = target.mean(dim=1, keepdim=True), source.mean(dim=1, keepdim=True)
        mean = (1 - weight) * own + weight * other
        parts = [
            mean + n_samples / n_target * (1 - weight) * (target - own),
            mean + n_samples / n_source * weight * (source - other),
        ]
        return torch.cat(parts, dim=1)
