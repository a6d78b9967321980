"""What every registered optimizer of fine-tuning promises; a new file is tested as soon as it exists."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from models.recipe.training_optimizer import (
    ParameterGroup,
    TrainingOptimizerConfig,
    build_training_optimizer,
)
from models.training_optimizers import TRAINING_OPTIMIZERS

PARSE: TypeAdapter[TrainingOptimizerConfig] = TypeAdapter(TRAINING_OPTIMIZERS.union())
NAMES = TRAINING_OPTIMIZERS.names()
MORE: list[dict[str, object]] = [
    {"kind": "adam", "betas": (0.8, 0.9), "eps": 1e-4},
    {"kind": "adamw", "weight_decay": 0.0},
    {"kind": "rmsprop", "momentum": 0.9, "alpha": 0.5},
    {"kind": "sgd", "momentum": 0.9},
    {"kind": "sgd", "momentum": 0.9, "nesterov": True},
]
CASES = [{"kind": name, **extra} for name in NAMES for extra in ({}, {"weight_decay": 0.3})]
CASES += [{**case, "weight_decay": 0.3} for case in MORE] + MORE
STEPS = 6


@pytest.fixture(params=CASES, ids=str)
def config(request: pytest.FixtureRequest) -> TrainingOptimizerConfig:
    return PARSE.validate_python(request.param)


def test_it_says_what_it_remembers(config: TrainingOptimizerConfig) -> None:
    leaf = drawn(50).requires_grad_()
    leaf.grad = torch.ones(50, dtype=torch.float64)
    optimizer = build_training_optimizer(config, [group([leaf], 0.1)])
    optimizer.step()
    kept = [x for x in optimizer.state[leaf].values() if isinstance(x, Tensor) and x.numel() > 1]
    assert sum(x.numel() for x in kept) == 50 * config.numbers_per_weight


def group(leaves: list[Tensor], rate: float | Tensor) -> ParameterGroup:
    return {"params": leaves, "lr": rate}


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def trained(
    config: TrainingOptimizerConfig,
    start: Tensor,
    rate: float | Tensor,
    *,
    steps: int = STEPS,
    moved: Callable[[Tensor, Tensor], Tensor] = lambda _, after: after,
) -> Tensor:
    """Lower the sum of fourth powers; ``moved`` gives the weights from those before and after each step."""
    leaf = start.clone().requires_grad_()
    optimizer = build_training_optimizer(config, [group([leaf], rate)])
    for _ in range(steps):
        before = leaf.detach().clone()
        optimizer.zero_grad()
        (leaf**4).sum().backward()
        optimizer.step()
        with torch.no_grad():
            leaf.copy_(moved(before, leaf))
    return leaf.detach()


def test_stacked_leaves_train_as_they_would_alone(config: TrainingOptimizerConfig) -> None:
    starts = drawn(3, 4, 5)
    alone = [trained(config, start, 0.05) for start in starts]
    torch.testing.assert_close(
        trained(config, starts, 0.05), torch.stack(alone), rtol=1e-14, atol=0
    )


@pytest.mark.parametrize("share", [0.0, 0.25, 3.0])
def test_what_a_step_changes_is_proportional_to_the_rate(
    config: TrainingOptimizerConfig, share: float
) -> None:
    start = drawn(4, 5)
    interpolated = trained(
        config, start, 0.01, moved=lambda before, after: before + share * (after - before)
    )
    torch.testing.assert_close(interpolated, trained(config, start, 0.01 * share))


def test_groups_have_rates_of_their_own(config: TrainingOptimizerConfig) -> None:
    first, second = (start.requires_grad_() for start in drawn(2, 4).clone())
    expected = [trained(config, leaf.detach(), rate) for leaf, rate in ((first, 0.1), (second, 0))]
    groups = [group([first], 0.1), group([second], 0.0)]
    optimizer = build_training_optimizer(config, groups)
    assert all(given.keys() == {"params", "lr"} for given in groups)
    for _ in range(STEPS):
        optimizer.zero_grad()
        (first**4).sum().add((second**4).sum()).backward()
        optimizer.step()
    torch.testing.assert_close([first.detach(), second.detach()], expected)


def test_a_rate_may_change_between_steps(config: TrainingOptimizerConfig) -> None:
    leaf = drawn(4).requires_grad_()
    optimizer = build_training_optimizer(config, [group([leaf], 0.1)])
    for rate, is_moved in ((0.1, True), (0.0, False), (0.1, True)):
        before = leaf.detach().clone()
        optimizer.param_groups[0]["lr"] = rate
        leaf.grad = torch.ones_like(leaf)
        optimizer.step()
        assert torch.equal(before, leaf) != is_moved


def test_it_goes_downhill(config: TrainingOptimizerConfig) -> None:
    start = drawn(20)
    end = trained(config, start, 0.01, steps=30)
    assert end.square().sum() < start.square().sum()


def test_where_there_is_no_gradient_weights_stay(config: TrainingOptimizerConfig) -> None:
    without_decay = config.model_copy(update={"weight_decay": 0.0})
    leaf = torch.ones(3, requires_grad=True)
    optimizer = build_training_optimizer(without_decay, [group([leaf], 0.1)])
    for _ in range(3):
        leaf.grad = torch.zeros_like(leaf)
        optimizer.step()
    assert torch.equal(leaf.detach(), torch.ones(3))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_captured_steps_follow_a_rate_on_the_gpu(config: TrainingOptimizerConfig) -> None:
    start, rates = drawn(4, 5).float(), [0.0, 0.0, 0.0, 0.1, 0.01]
    leaf, rate = start.cuda().requires_grad_(), torch.zeros((), device="cuda")
    optimizer = build_training_optimizer(config, [group([leaf], rate)])
    on_cpu = start.clone().requires_grad_()
    reference = build_training_optimizer(config, [group([on_cpu], 0.0)])

    def step(weights: Tensor, stepping: torch.optim.Optimizer) -> None:
        weights.grad = 4 * weights.detach() ** 3
        stepping.step()

    with torch.cuda.stream(torch.cuda.Stream()):
        for _ in range(3):
            step(leaf, optimizer)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step(leaf, optimizer)
    for value in rates[3:]:
        rate.fill_(value)
        graph.replay()
    for value in rates:
        reference.param_groups[0]["lr"] = value
        step(on_cpu, reference)
    torch.testing.assert_close(leaf.detach().cpu(), on_cpu.detach())


@pytest.mark.parametrize("name", NAMES)
def test_options_have_a_schema_and_refuse_unknown_keys(name: str) -> None:
    properties = TRAINING_OPTIMIZERS.config(name).model_json_schema()["properties"]
    assert properties["kind"]["const"] == name
    assert all("description" in option for key, option in properties.items() if key != "kind")
    with pytest.raises(ValidationError, match="Extra inputs"):
        PARSE.validate_python({"kind": name, "learning_speed": 1})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("weight_decay", [-1.0, float("nan"), float("inf")])
def test_a_weight_decay_that_is_none_is_refused(name: str, weight_decay: float) -> None:
    with pytest.raises(ValidationError, match="weight_decay"):
        PARSE.validate_python({"kind": name, "weight_decay": weight_decay})


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "adam", "betas": (0.9, 1.0)},
        {"kind": "adam", "eps": 0},
        {"kind": "adam", "momentum": 0.9},
        {"kind": "adamw", "betas": (-0.1, 0.9)},
        {"kind": "adamw", "eps": 1e-50},
        {"kind": "rmsprop", "alpha": 1.0},
        {"kind": "rmsprop", "momentum": 1.0},
        {"kind": "rmsprop", "eps": 0},
        {"kind": "sgd", "momentum": -0.1},
        {"kind": "lbfgs"},
    ],
    ids=str,
)
def test_options_out_of_bounds_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PARSE.validate_python(options)


def test_nesterov_without_momentum_is_refused() -> None:
    with pytest.raises(ValidationError, match="nesterov needs momentum above 0, given momentum"):
        PARSE.validate_python({"kind": "sgd", "nesterov": True})
