"""Writes ``docs/spec.md``, the reference of a search spec, from the models that parse it.

python docs/build_spec_page.py
"""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from models.augmentations import AUGMENTATIONS
from models.datasets import DATASETS
from models.families import FAMILIES
from models.finetuning import STRATEGIES
from models.genes import GenomeOptions
from models.losses import LOSSES
from models.metrics import METRICS
from models.plans.plan import Plan
from models.recipe.options import BatchNormOptions, EarlyStopping, RecipeOptions
from models.schedules import SCHEDULES
from models.scoring.options import FitnessOptions, SourceRetention
from models.training_optimizers import TRAINING_OPTIMIZERS
from models.weights import WEIGHTS
from search.budget import Budget
from search.final import FinalOptions
from search.optimizers import OPTIMIZERS
from search.race.course import RaceOptions
from search.registry import Registry
from service.execution import EXECUTION
from service.spec import SearchSpec

PAGE = Path(__file__).parent / "spec.md"
PLUGINS: list[tuple[str, Registry[Any]]] = [
    ("model", FAMILIES),
    ("source and target", WEIGHTS),
    ("dataset", DATASETS),
    ("optimizer", OPTIMIZERS),
    ("finetune", STRATEGIES),
    ("finetune.optimizer", TRAINING_OPTIMIZERS),
    ("finetune.schedule", SCHEDULES),
    ("finetune.loss", LOSSES),
    ("finetune.augmentation", AUGMENTATIONS),
    ("fitness.metric", METRICS),
    ("execution", EXECUTION),
]
BLOCKS: list[tuple[str, type[BaseModel]]] = [
    ("genome", GenomeOptions),
    ("finetune, whatever its kind", RecipeOptions),
    ("finetune.early_stopping", EarlyStopping),
    ("finetune.batch_norm", BatchNormOptions),
    ("fitness", FitnessOptions),
    ("fitness.source_retention", SourceRetention),
    ("budget", Budget),
    ("race", RaceOptions),
    ("final", FinalOptions),
    ("plan, unless auto", Plan),
]
INTRODUCTION = """# The search spec

Written by `docs/build_spec_page.py` from the models that parse a spec. An example:
[examples/digits.json](../examples/digits.json). Unknown keys are refused.
Blocks with a `kind` are plug-ins; `GET /v1/plugins` gives their JSON schemas.
"""


def render() -> str:
    """Give the page as text."""
    parts = [INTRODUCTION, "## The spec", _table(SearchSpec)]
    for field, model in BLOCKS:
        parts += [f"## `{field}`", _table(model)]
    for field, registry in PLUGINS:
        for kind in registry.names():
            config = registry.config(kind)
            summary = (config.__doc__ or "").splitlines()[0]
            shared = RecipeOptions.model_fields if issubclass(config, RecipeOptions) else ()
            parts += [f"## `{field}`: `{kind}`", summary, _table(config, shared)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(model: type[BaseModel], shared: Container[str] = ()) -> str:
    """The fields of a model, without those that another table has."""
    rows = [
        f"| `{name}` | {_default(field)} | {field.description or ''} |"
        for name, field in model.model_fields.items()
        if name != "kind" and name not in shared
    ]
    return "\n".join(["| field | default | |", "|---|---|---|", *rows]) if rows else ""


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "by the machine"
    if field.default is PydanticUndefined:
        return "required"
    if isinstance(field.default, BaseModel):
        kind = getattr(field.default, "kind", None)
        return f"`{kind}`" if kind else "as below"
    if isinstance(field.default, dict):
        return f"`{field.default.get('kind', field.default)}`"
    if isinstance(field.default, tuple):
        return f"`{list(field.default)}`"
    return "null" if field.default is None else f"`{field.default}`"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
