"""How a candidate is scored: the options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.datasets import DATASETS
from models.scoring.metric import METRICS
from search.errors import InvalidInputError

if TYPE_CHECKING:
    from models.data.dataset import DatasetConfig

    MetricName = str
else:
    DatasetConfig = DATASETS.union()
    MetricName = Literal[tuple(METRICS.names())]


class SourceRetention(BaseModel):
    """What keeping the source task's accuracy is worth, beside the gain on the target task."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    weight: float = Field(
        0.5,
        ge=0,
        le=1,
        description="w in: fitness = (1 - w) x metric on the target task + w x accuracy on the source task; "
        "0 is the same as no source_retention",
    )
    dataset: DatasetConfig | None = Field(
        None,
        description="the source task, with as many classes as the target task; null: the data set of a source of kind "
        "pretrain. Its validation and test samples are never pretrained on, and never ones that the target task "
        "has in another part",
    )


class FitnessOptions(BaseModel):
    """How a candidate is scored."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    metric: MetricName = Field(
        "accuracy",
        description=f"what predictions are scored by, higher is better: {', '.join(METRICS.names())}",
    )
    source_retention: SourceRetention | None = Field(
        None, description="seek masks that gain on the target task while keeping the source task"
    )

    @model_validator(mode="after")
    def _adds_like_to_like(self) -> FitnessOptions:
        if self.retention is not None and not METRICS.plugin(self.metric).is_share:
            shares = [name for name in METRICS.names() if METRICS.plugin(name).is_share]
            raise ValueError(
                f"metric {self.metric} cannot be averaged with the source task's accuracy, which is from 0 to 1: "
                f"expected one of {', '.join(shares)}, or source_retention null"
            )
        return self

    @property
    def retention(self) -> SourceRetention | None:
        """The retention that has a say."""
        options = self.source_retention
        return None if options is None or options.weight == 0 else options

    def check(self, n_classes: int) -> None:
        """Refuse a task that the metric cannot serve.

        Raises:
            InvalidInputError: Too many classes; names both numbers.
        """
        most = METRICS.plugin(self.metric).most_classes
        if most is not None and n_classes > most:
            raise InvalidInputError(
                "fitness.metric",
                f"{self.metric} of {n_classes} classes",
                f"a metric for more than {most} classes: accuracy or log_loss",
            )
