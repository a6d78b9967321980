"""Distillation: candidates learn from a teacher's outputs as well as from the labels.

The teacher's outputs on the training part are computed once for the whole search, so that learning from them costs a
candidate almost nothing; augmented samples are taught by what the teacher says about the originals.

References: soft labels: Hinton et al., "Distilling the Knowledge in a Neural Network", 2015; hard labels: Touvron et
al., "Training data-efficient image transformers & distillation through attention", ICML 2021, section 4.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from models.data.dataset import Examples
from models.recipe.loss import weighted_mean
from models.recipe.strategy import (
    STRATEGIES,
    TEACHER,
    WEIGHTS,
    LabelTraining,
    StrategyConfig,
    Teacher,
)


class DistillConfig(StrategyConfig):
    """Options of distillation."""

    kind: Literal["distill"] = "distill"
    teacher: Literal["transfer_all", "source"] = Field(
        "transfer_all",
        description="the transfer-all network after fine-tuning by the same recipe, at the first of its rates, "
        "or the source as it is, whose classes must be the target's",
    )
    teacher_steps: int = Field(
        600, ge=1, le=10_000_000, description="training steps of a transfer_all teacher"
    )
    labels: Literal["soft", "hard"] = Field(
        "soft", description="the teacher's probabilities, or its most probable class"
    )
    temperature: float = Field(
        2.0, gt=0, le=1e3, description="with soft labels: logits are divided by it"
    )
    teacher_weight: float = Field(
        0.5, gt=0, le=1, description="share of the teacher in the loss; the labels have the rest"
    )


@STRATEGIES.register(DistillConfig)
class Distillation(LabelTraining):
    """Trains everything towards labels and teacher."""

    config: DistillConfig

    @property
    def teacher(self) -> Teacher | None:
        """The one that the options name."""
        is_source = self.config.teacher == "source"
        return Teacher(0 if is_source else self.config.teacher_steps, self.config)

    def loss(self, logits: Tensor, minibatch: Examples) -> Tensor:
        """Mean of both losses, each in its share."""
        share = self.config.teacher_weight
        from_labels = self._loss.per_sample(logits, minibatch.labels)
        from_teacher = self._distance(logits, minibatch.targets[TEACHER])
        return weighted_mean(
            (1 - share) * from_labels + share * from_teacher, minibatch.targets.get(WEIGHTS)
        )

    def _distance(self, logits: Tensor, taught: Tensor) -> Tensor:
        """How far each sample is from what the teacher says, ``(N,)`` in nats."""
        if self.config.labels == "hard":
            return cross_entropy(logits, taught.argmax(1), reduction="none")
        temperature = self.config.temperature
        divergence = kl_div(
            log_softmax(logits / temperature, dim=1),
            log_softmax(taught / temperature, dim=1),
            reduction="none",
            log_target=True,
        )
        # Gradients shrink by the square of the temperature.
        return temperature**2 * divergence.sum(1)
