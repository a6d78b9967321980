"""The seam for losses: how far a candidate's logits are from the labels."""

from __future__ import annotations

from typing import Annotated, Literal, Protocol

from pydantic import Field
from torch import Tensor

from search.registry import PluginConfig, Registry

ClassWeight = Annotated[float, Field(ge=1e-6, le=1e6)]
ClassWeights = Literal["balanced"] | tuple[ClassWeight, ...] | None


class LossConfig(PluginConfig):
    """Base of every loss's options."""

    class_weights: ClassWeights = Field(
        None,
        description="how much each class counts: one weight per class, balanced (in inverse proportion to the "
        "class's training samples), or null for all alike",
    )


class Loss(Protocol):
    """Compares logits with labels, sample by sample; runs under ``vmap`` for one candidate at a time."""

    def per_sample(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Give ``(N,)`` from ``(N, C)`` and ``(N,)``, in at least the logits' precision."""
        ...


LOSSES: Registry[Loss] = Registry("finetune.loss", "models.losses")


def build_loss(config: LossConfig) -> Loss:
    """Construct the loss that a config names."""
    return LOSSES.plugin(config.kind)(config)  # type: ignore[call-arg]


def weighted_mean(losses: Tensor, weights: Tensor | None) -> Tensor:
    """Mean loss of a minibatch, as torch's ``cross_entropy`` with class weights takes it.

    Args:
        losses: ``(N,)``.
        weights: ``(N,)``, above 0, how much each sample counts; all alike if None.

    Returns:
        Sum of weighted losses over the sum of weights: a scalar in at least the losses' precision.
    """
    if weights is None:
        return losses.mean()
    return (weights * losses).sum() / weights.sum()
