"""What every registered fine-tuning strategy promises; a new file is tested as soon as it exists."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from pydantic import ValidationError

from models.evaluator import Task
from models.finetuning import STRATEGIES
from models.plan import Plan
from models.strategy import Strategy, StrategyConfig, build_strategy
from search.evaluation import Candidate
from search.genome import keep_all
from tests.models.small_task import N_CLASSES, candidates, evaluator, family_task


@pytest.fixture(params=STRATEGIES.names())
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def config(kind: str, **options: object) -> StrategyConfig:
    parsed = STRATEGIES.config(kind).model_validate(options)
    assert isinstance(parsed, StrategyConfig)
    return parsed


def strategy(kind: str, **options: object) -> Strategy:
    return build_strategy(config(kind, **options))


def task(kind: str, **options: object) -> Task:
    plain = family_task("mlp", {"hidden": [16]})
    return dataclasses.replace(plain, strategy=strategy(kind, **options))


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


def test_all_layouts_compute_the_same(kind: str) -> None:
    learnable = task(kind, learning_rate=0.01)
    losses = [
        [e.loss for one in cut for e in evaluator(learnable, plan).evaluate(one)]
        for plan, cut in (
            (
                Plan(layout="vmap", chunks=(1, 4), dtype="float64", threads=1),
                [candidates(learnable, 5)],
            ),
            (
                Plan(layout="loop", dtype="float64", threads=1),
                [[c] for c in candidates(learnable, 5)],
            ),
        )
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
