"""Tests of the memory that a search cannot do without."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from models.finetuning import STRATEGIES
from models.genes import GeneMap, GenomeOptions, build_gene_map
from models.plans.memory_need import MemoryNeed, least_memory
from models.recipe.strategy import TrainingOptions, build_strategy
from models.weights_source import state_shapes
from search.errors import InvalidInputError

WEIGHTS, HEAD = 100 * 100, 100 * 4
STATE = 4 * (2 * WEIGHTS + HEAD)


PARSE: TypeAdapter[TrainingOptions] = TypeAdapter(STRATEGIES.union())


def network_on_meta() -> tuple[nn.Module, GeneMap]:
    with torch.device("meta"):
        network = nn.Sequential(
            nn.Linear(100, 100, bias=False),
            nn.Linear(100, 100, bias=False),
            nn.Linear(100, 4, bias=False),
        )
    return network, build_gene_map(network, state_shapes(network), GenomeOptions())


def need(kind: str = "full", dtype: torch.dtype = torch.float32, **options: Any) -> MemoryNeed:
    config = PARSE.validate_python({"kind": kind, **options})
    return least_memory(*network_on_meta(), build_strategy(config), dtype)


@pytest.mark.parametrize(
    ("optimizer", "remembered"),
    [
        ({"kind": "adam"}, 2),
        ({"kind": "adamw"}, 2),
        ({"kind": "sgd", "momentum": 0.9}, 1),
        ({"kind": "sgd", "momentum": 0.0}, 0),
    ],
)
def test_what_each_optimizer_remembers_counts(optimizer: dict[str, Any], remembered: int) -> None:
    found = need(optimizer=optimizer)
    assert found.parameters == 2 * WEIGHTS + HEAD
    assert found.training_bytes == (1 + remembered) * STATE
    # Source, network and graft; a fresh target is gone before gradients come.
    assert found.total_bytes == (3 + max(1, 1 + remembered)) * STATE


def test_what_a_recipe_freezes_in_every_mask_needs_no_gradient() -> None:
    found = need("partial", freeze="all_but_last", last_genes=1)
    assert found.training_bytes == 3 * 4 * HEAD
    assert need("partial", freeze="transferred").training_bytes == 3 * STATE


def test_copies_that_a_recipe_keeps_count() -> None:
    assert need(l2_sp=0.1).training_bytes == 4 * STATE
    rates: dict[str, Any] = {
        "learning_rate": [0.1, 0.01, 0.001],
        "learning_rate_per_candidate": True,
    }
    assert need(**rates).graft_bytes == 3 * STATE
    assert need(dtype=torch.float64).state_bytes == 2 * STATE


def test_a_refusal_says_how_much_is_missing() -> None:
    lacking = MemoryNeed(1_000_000_000, 4 << 30, 4 << 30, 12 << 30)
    lacking.check(24 << 30, "this machine has")
    with pytest.raises(
        InvalidInputError, match=r"model: a network of 1,000,000,000 parameters"
    ) as error:
        lacking.check(20 << 30, "this machine has")
    assert "about 24.0 GiB" in str(error.value.given)
    assert "20.0 GiB that this machine has, 4.0 GiB too few" in error.value.expected
    lacking.check(20 << 30, "this machine has", loaded_bytes=4 << 30)
