"""Scores of predictions; higher is better everywhere."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from torch.nn.functional import cross_entropy

MetricName = Literal["accuracy", "log_loss"]


class FitnessOptions(BaseModel):
    """How a candidate is scored."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    metric: MetricName = Field(
        "accuracy",
        description="accuracy in [0, 1], or log_loss: minus the mean cross entropy in nats",
    )


def sample_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy per sample, in nats and double precision.

    Args:
        logits: ``(P, N, C)``.
        labels: ``(N,)``.

    Returns:
        ``(P, N)``.
    """
    n_candidates, n_samples, n_classes = logits.shape
    flat = cross_entropy(
        logits.double().reshape(-1, n_classes), labels.repeat(n_candidates), reduction="none"
    )
    return flat.view(n_candidates, n_samples)


def sample_hits(logits: Tensor, labels: Tensor) -> Tensor:
    """Whether each sample is classified rightly: bool ``(P, N)`` from ``(P, N, C)`` and ``(N,)``."""
    return logits.argmax(dim=2) == labels


def fitness(metric: MetricName, hits: Tensor, losses: Tensor) -> Tensor:
    """One score per candidate, ``(P,)``, from hits and losses ``(P, N)``."""
    return sample_scores(metric, hits, losses).mean(dim=1)


def sample_scores(metric: MetricName, hits: Tensor, losses: Tensor) -> Tensor:
    """Scores whose mean is the fitness: 0 or 1 for accuracy, minus the loss for log_loss."""
    return hits.to(torch.float64) if metric == "accuracy" else -losses
