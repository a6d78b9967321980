"""Cross entropy: minus the logarithm of the probability that the network gives to the label.

Label smoothing: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016, section 7.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from models.recipe.loss import LOSSES, LossConfig


class CrossEntropyConfig(LossConfig):
    """Options of cross entropy."""

    kind: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="probability that is spread evenly over all classes"
    )


@LOSSES.register(CrossEntropyConfig)
class CrossEntropy:
    """Cross entropy of the softmax."""

    def __init__(self, config: CrossEntropyConfig) -> None:
        """Bind the options."""
        self._config = config

    def per_sample(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Give the cross entropy in nats."""
        return cross_entropy(
            logits, labels, reduction="none", label_smoothing=self._config.label_smoothing
        )
