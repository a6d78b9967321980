"""The search spec: everything that defines a search, as users write it.

A job is its spec, seed, plan and ledger; nothing else may influence the result.  Every block with a ``kind`` is a
plug-in and its own typed options; the unions are built from whatever plug-in files there are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from models.datasets import DATASETS
from models.families import FAMILIES
from models.finetuning import STRATEGIES
from models.genes import GenomeOptions
from models.plans.plan import Plan
from models.scoring.options import FitnessOptions
from models.weights import WEIGHTS
from search.budget import Budget
from search.final import FinalOptions
from search.optimizers import OPTIMIZERS
from search.race.course import RaceOptions
from service.execution import EXECUTION

if TYPE_CHECKING:
    from models.data.dataset import DatasetConfig
    from models.recipe.strategy import TrainingOptions
    from search.optimizer import OptimizerConfig
    from search.registry import PluginConfig as ExecutionConfig
    from search.registry import PluginConfig as ModelConfig
    from search.registry import PluginConfig as WeightsConfig
else:
    ModelConfig = FAMILIES.union()
    WeightsConfig = WEIGHTS.union()
    DatasetConfig = DATASETS.union()
    OptimizerConfig = OPTIMIZERS.union()
    TrainingOptions = STRATEGIES.union()
    ExecutionConfig = EXECUTION.union()


class SearchOptions(BaseModel):
    """How to search; everything has a default.  Unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field("", max_length=200, description="for people; changes nothing")
    genome: GenomeOptions = Field(GenomeOptions(), description="what is one gene")
    optimizer: OptimizerConfig = Field(
        {"kind": "genetic"}, validate_default=True, description="what proposes masks"
    )
    finetune: TrainingOptions = Field(
        {"kind": "full"},
        validate_default=True,
        description="how a candidate is trained before it is scored",
    )
    fitness: FitnessOptions = Field(FitnessOptions(), description="how a candidate is scored")
    budget: Budget = Field(Budget(), description="what the search may spend")
    race: RaceOptions = Field(RaceOptions(), description="leaders again, on fresh draws")
    final: FinalOptions = Field(
        FinalOptions(), description="winner and baselines at full length, on fresh draws"
    )
    plan: Plan | Literal["auto"] = Field(
        "auto", description="how evaluations are computed; auto: measured"
    )
    execution: ExecutionConfig = Field(
        {"kind": "local"}, validate_default=True, description="where the search runs"
    )
    priority: int = Field(0, ge=-1000, le=1000, description="higher runs first")
    seed: int = Field(0, ge=0, lt=2**63, description="of every random draw")


class SearchSpec(SearchOptions):
    """One search.  Only ``model``, ``source`` and ``dataset`` are required; unknown keys are refused."""

    model: ModelConfig = Field(description="architecture of both networks")
    source: WeightsConfig = Field(description="the network whose weights may be transferred")
    target: WeightsConfig = Field(
        {"kind": "init"}, validate_default=True, description="the network whose weights may be kept"
    )
    dataset: DatasetConfig = Field(description="the target task")
