"""What every registered fine-tuning strategy promises; a new file is tested as soon as it exists."""

from __future__ import annotations

import dataclasses
from typing import get_args

import pytest
import torch
from pydantic import ValidationError

from models.evaluator import Task
from models.finetuning import STRATEGIES
from models.freezing import Freezing, tensors_kept
from models.graft import graft_population
from models.layout import Recipe
from models.plan import Plan
from models.population import LayoutName, build_layout
from models.strategy import Strategy, StrategyConfig, build_strategy
from models.training_optimizers import AdamConfig
from search.evaluation import Candidate
from search.genome import keep_all
from tests.models.small_task import (
    N_CLASSES,
    candidates,
    evaluator,
    family_task,
    spread_masks,
)

LAYOUTS: tuple[LayoutName, ...] = get_args(LayoutName)
FUSED = tuple(layout for layout in LAYOUTS if layout != "loop")
MLP: tuple[str, dict[str, object]] = ("mlp", {"hidden": [16]})
CNN: tuple[str, dict[str, object]] = ("small_cnn", {"width": 4, "hidden": 8, "norm": "batch"})


@pytest.fixture(params=STRATEGIES.names())
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def config(kind: str, **options: object) -> StrategyConfig:
    parsed = STRATEGIES.config(kind).model_validate(options)
    assert isinstance(parsed, StrategyConfig)
    return parsed


def strategy(kind: str, **options: object) -> Strategy:
    return build_strategy(config(kind, **options))


def task(kind: str, network: tuple[str, dict[str, object]] = MLP, **options: object) -> Task:
    return dataclasses.replace(family_task(*network), strategy=strategy(kind, **options))


def test_options_have_a_schema_and_refuse_unknown_keys(kind: str) -> None:
    schema = STRATEGIES.config(kind).model_json_schema()
    assert schema["properties"]["kind"]["const"] == kind
    with pytest.raises(ValidationError, match="Extra inputs"):
        config(kind, epochs=3)


@pytest.mark.parametrize(
    "options", [{"steps": 0}, {"batch_size": 0}, {"learning_rate": -1.0}, {"learning_rate": []}]
)
def test_options_out_of_bounds_are_refused_by_name(kind: str, options: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(options))):
        config(kind, **options)


def test_one_rate_and_several_are_both_a_choice(kind: str) -> None:
    assert config(kind, learning_rate=0.1).learning_rates == (0.1,)
    assert config(kind, learning_rate=1).learning_rates == (1.0,)
    assert config(kind, learning_rate=[0.1, 0.3, 0.1]).learning_rates == (0.1, 0.3)


def test_the_loss_is_a_differentiable_scalar(kind: str) -> None:
    logits = torch.zeros(4, N_CLASSES, requires_grad=True)
    loss = strategy(kind).loss(logits, torch.tensor([0, 1, 2, 0]))
    assert loss.ndim == 0
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.abs().sum() > 0


def test_training_lowers_the_loss_on_what_it_trains_on(kind: str) -> None:
    learnable = task(kind, learning_rate=0.01)
    data = dataclasses.replace(learnable.data, validation=learnable.data.train)
    measure = evaluator(dataclasses.replace(learnable, data=data), Plan(layout="vmap", threads=1))
    keep = keep_all(learnable.genes.n_genes)
    before, after = (measure.evaluate([Candidate(keep, steps)])[0].loss for steps in (0, 20))
    assert before is not None
    assert after is not None
    assert after < before / 2


@pytest.mark.parametrize("layout", FUSED)
def test_all_layouts_compute_the_same(kind: str, layout: LayoutName) -> None:
    learnable = task(kind, learning_rate=0.01)
    asked = candidates(learnable, 5)
    fused = Plan(layout=layout, chunks=(1, 4), dtype="float64", threads=1)
    single = evaluator(learnable, Plan(layout="loop", dtype="float64", threads=1))
    losses = [e.loss for e in evaluator(learnable, fused).evaluate(asked)]
    assert losses == pytest.approx([single.evaluate([c])[0].loss for c in asked], rel=1e-6)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_frozen_stays_bit_for_bit_and_all_else_changes(
    kind: str, layout: LayoutName
) -> None:
    decaying = AdamConfig(weight_decay=0.1)
    learnable = task(kind, CNN, optimizer=decaying)
    genomes = spread_masks(learnable.genes.n_genes, 4)
    state = graft_population(
        learnable.target(0),
        learnable.source,
        learnable.genes,
        torch.tensor([genome.keeps for genome in genomes]),
    )
    before = {name: tensor.clone() for name, tensor in state.items()}
    frozen = tuple(learnable.strategy.frozen(learnable.genes, genome) for genome in genomes)
    recipe = Recipe(
        learnable.strategy, 0.01, Freezing(frozen, tensors_kept(learnable.genes, genomes))
    )
    build_layout(layout, learnable.network).train(
        state, learnable.data.train, torch.arange(24).view(3, 8), recipe
    )
    for row, names in enumerate(frozen):
        assert {n for n in state if torch.equal(before[n][row], state[n][row])} == names
