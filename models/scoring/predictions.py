"""What a population of networks says of labelled samples: all that a metric may look at."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import cross_entropy


@dataclass(frozen=True, slots=True)
class Predictions:
    """What ``P`` networks, or one network at ``P`` replicates, say of the same ``N`` samples.

    Attributes:
        classes: int64 ``(P, N)``, the class with the largest logit.
        losses: float64 ``(P, N)``, cross entropy in nats.
        labels: int64 ``(N,)``, on the same device.
        n_classes: How many classes the networks tell apart.
    """

    classes: Tensor
    losses: Tensor
    labels: Tensor
    n_classes: int

    @classmethod
    def of(cls, logits: Tensor, labels: Tensor) -> Predictions:
        """Read logits ``(P, N, C)`` beside labels ``(N,)``."""
        return cls(logits.argmax(dim=2), sample_losses(logits, labels), labels, logits.shape[2])

    @property
    def hits(self) -> Tensor:
        """Whether each sample is classified rightly, bool ``(P, N)``."""
        return self.classes == self.labels


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
