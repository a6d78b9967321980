"""Options of a recipe that strategies share: how long, with what optimizer, on what minibatches, how regularised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.augmentations import AUGMENTATIONS
from models.losses import LOSSES
from models.schedules import SCHEDULES
from models.training_optimizers import TRAINING_OPTIMIZERS

if TYPE_CHECKING:
    from models.recipe.augmentation import AugmentationConfig
    from models.recipe.loss import LossConfig
    from models.recipe.schedule import ScheduleConfig
    from models.recipe.training_optimizer import TrainingOptimizerConfig
else:
    AugmentationConfig = AUGMENTATIONS.union()
    LossConfig = LOSSES.union()
    ScheduleConfig = SCHEDULES.union()
    TrainingOptimizerConfig = TRAINING_OPTIMIZERS.union()

# Each multiplies the cost of every evaluation; and a store keeps them in the text that names a row.
MOST_RATES_PER_CANDIDATE = 10

LearningRate = Annotated[float, Field(ge=1e-12, le=1e12)]
Strength = Annotated[float, Field(ge=0, le=1e6)]


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class EarlyStopping(_Options):
    """When a candidate's training ends before its last step: it then keeps the weights that it has.

    Reference: Prechelt, "Early Stopping - But When?", 1998.
    """

    interval: int = Field(10, ge=1, description="steps between two looks at the validation loss")
    patience: int = Field(3, ge=1, description="looks in a row without a lower loss that end it")
    min_improvement: float = Field(
        0.0, ge=0, description="what counts as lower: by more than this, in nats"
    )


class BatchNormOptions(_Options):
    """What becomes of running statistics, which a mixed network has from two others.

    References: Shen et al., "Partial Is Better Than All: Revisiting Fine-tuning Strategy for Few-shot Learning", AAAI
    2021 (P-Transfer); Li et al., "Revisiting Batch Normalization For Practical Domain Adaptation", 2016.
    """

    frozen: bool = Field(
        False,
        description="training leaves running statistics as they are, and normalises by them instead of the minibatch",
    )
    reestimate: Literal["never", "before", "after"] = Field(
        "never",
        description="measure running statistics anew on the training part, but for layers that the strategy freezes: "
        "before the first step, or after the last",
    )


class RecipeOptions(_Options):
    """How a candidate is trained, whatever the strategy."""

    steps: int = Field(40, ge=1, le=10_000_000, description="training steps of one evaluation")
    batch_size: int = Field(32, ge=1, le=1_000_000, description="samples per step")
    sampling: Literal["shuffled", "balanced"] = Field(
        "shuffled",
        description="each sample once per epoch, or drawn with replacement so that all classes come equally often",
    )
    augmentation: tuple[AugmentationConfig, ...] = Field(
        (), max_length=8, description="random changes to training samples, in order"
    )
    loss: LossConfig = Field(
        {"kind": "cross_entropy"}, validate_default=True, description="what is minimised"
    )
    optimizer: TrainingOptimizerConfig = Field(
        {"kind": "adam"}, validate_default=True, description="what changes the weights"
    )
    learning_rate: (
        LearningRate | Annotated[tuple[LearningRate, ...], Field(min_length=1, max_length=20)]
    ) = Field(
        0.001,
        description="one rate, or several of which the best over keep-all and transfer-all serves",
    )
    learning_rate_per_candidate: bool = Field(
        False,
        description="with several rates: train every candidate at each and judge it at its best one",
    )
    schedule: ScheduleConfig = Field(
        {"kind": "one_cycle"},
        validate_default=True,
        description="how the rate changes over the steps",
    )
    dropout: float | None = Field(
        None, ge=0, lt=1, description="probability for all of the network's dropout layers"
    )
    l1: Strength = Field(
        0.0, description="pull towards 0: its strength times the sum of absolute weights"
    )
    l2_sp: Strength = Field(
        0.0,
        description="pull towards the grafted weights w0: half its strength times the sum of (w - w0)^2 (L2-SP)",
    )
    gradient_norm: float | None = Field(
        None, gt=0, description="each candidate's gradient is scaled down to this norm"
    )
    early_stopping: EarlyStopping | None = Field(
        None, description="end a candidate's training when its validation loss no longer falls"
    )
    batch_norm: BatchNormOptions = Field(
        BatchNormOptions(), description="what becomes of running statistics"
    )

    @model_validator(mode="after")
    def _rates_to_choose_from(self) -> RecipeOptions:
        n_rates = len(self.learning_rates)
        if self.learning_rate_per_candidate and not 2 <= n_rates <= MOST_RATES_PER_CANDIDATE:
            raise ValueError(
                f"learning_rate_per_candidate needs 2 to {MOST_RATES_PER_CANDIDATE} different rates, "
                f"given {list(self.learning_rates)}"
            )
        return self

    @property
    def learning_rates(self) -> tuple[float, ...]:
        """The rates to choose from, each once."""
        rates = self.learning_rate
        return (rates,) if isinstance(rates, float) else tuple(dict.fromkeys(rates))

    @property
    def learning_rates_of_one(self) -> tuple[float, ...]:
        """The rates at which one candidate is trained unless its arm names others."""
        return self.learning_rates if self.learning_rate_per_candidate else self.learning_rates[:1]
