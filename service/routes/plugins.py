"""Plug-ins: what a spec may name, with the options of each."""

from __future__ import annotations

import inspect
from typing import Any

from fastapi import APIRouter

from models.datasets import DATASETS
from models.families import FAMILIES
from models.finetuning import STRATEGIES
from models.metrics import METRICS
from models.weights import WEIGHTS
from search.optimizers import OPTIMIZERS
from search.registry import Registry
from service.execution import EXECUTION
from service.schemas import Plugin, Plugins

router = APIRouter(prefix="/v1/plugins", tags=["plug-ins"])


@router.get("", response_model=Plugins)
def list_plugins() -> Plugins:
    """List every registered plug-in with the JSON schema of its options."""
    return Plugins(
        model=_plugins(FAMILIES),
        weights=_plugins(WEIGHTS),
        dataset=_plugins(DATASETS),
        optimizer=_plugins(OPTIMIZERS),
        finetune=_plugins(STRATEGIES),
        metric=_plugins(METRICS),
        execution=_plugins(EXECUTION),
    )


def _plugins(registry: Registry[Any]) -> tuple[Plugin, ...]:
    return tuple(
        Plugin(
            kind=name,
            description=inspect.cleandoc(registry.plugin(name).__doc__ or "").partition("\n")[0],
            options=registry.config(name).model_json_schema(),
        )
        for name in registry.names()
    )
