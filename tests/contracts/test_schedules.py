"""What every registered schedule promises; a new file is tested as soon as it exists."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, LRScheduler, OneCycleLR

from models.recipe.schedule import ScheduleConfig, rate_factors
from models.schedules import SCHEDULES

PARSE: TypeAdapter[ScheduleConfig] = TypeAdapter(SCHEDULES.union())
NAMES = SCHEDULES.names()


@pytest.fixture(params=NAMES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def factors(kind: str, n_steps: int, **options: object) -> list[float]:
    return rate_factors(PARSE.validate_python({"kind": kind, **options}), n_steps)


@pytest.mark.parametrize("n_steps", [0, 1, 2, 3, 40, 1001])
@pytest.mark.parametrize("warm_up", [0.0, 0.1, 0.5, 0.99])
def test_every_step_has_a_factor_from_0_to_1(kind: str, n_steps: int, warm_up: float) -> None:
    given = factors(kind, n_steps, warm_up=warm_up)
    assert len(given) == n_steps
    assert all(math.isfinite(factor) and 0 <= factor <= 1 + 1e-12 for factor in given)
    assert sum(given) > 0 or n_steps == 0


def test_a_warm_up_rises_in_equal_steps_from_above_0(kind: str) -> None:
    given = factors(kind, 50, warm_up=0.2)
    rises = [after - before for before, after in zip([0.0, *given], given[:11], strict=False)]
    assert given[0] > 0
    assert rises == pytest.approx([given[0]] * 11)


def test_what_comes_after_a_warm_up_is_the_schedule_over_fewer_steps(kind: str) -> None:
    assert factors(kind, 50, warm_up=0.2)[10:] == factors(kind, 40)


def test_a_warm_up_leaves_at_least_one_step(kind: str) -> None:
    assert factors(kind, 1, warm_up=0.99) == factors(kind, 1)
    assert factors(kind, 10, warm_up=0.99)[-1] == factors(kind, 1)[0]


def test_options_have_a_schema_and_refuse_unknown_keys(kind: str) -> None:
    properties = SCHEDULES.config(kind).model_json_schema()["properties"]
    assert properties["kind"]["const"] == kind
    assert all("description" in option for key, option in properties.items() if key != "kind")
    with pytest.raises(ValidationError, match="Extra inputs"):
        PARSE.validate_python({"kind": kind, "warmup": 0.1})


@pytest.mark.parametrize("warm_up", [-0.1, 1.0])
def test_a_warm_up_out_of_bounds_is_refused(kind: str, warm_up: float) -> None:
    with pytest.raises(ValidationError, match="warm_up"):
        PARSE.validate_python({"kind": kind, "warm_up": warm_up})


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "cosine", "final": -0.1},
        {"kind": "exponential", "final": 0},
        {"kind": "exponential", "final": 1.1},
        {"kind": "one_cycle", "rise": 0},
        {"kind": "one_cycle", "rise": 1},
        {"kind": "one_cycle", "initial_divisor": 0.5},
        {"kind": "one_cycle", "final_divisor": 0},
        {"kind": "step"},
    ],
    ids=str,
)
def test_options_out_of_bounds_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PARSE.validate_python(options)


def test_a_constant_rate_stays() -> None:
    assert factors("constant", 3) == [1.0] * 3


def optimizer_at(rate: float) -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=rate)


def rates_of_torch(schedule: LRScheduler, n_steps: int) -> list[float]:
    rates = []
    for _ in range(n_steps):
        rates.append(schedule.optimizer.param_groups[0]["lr"])
        schedule.optimizer.step()
        schedule.step()
    return rates


def test_exponential_is_torchs() -> None:
    reference = ExponentialLR(optimizer_at(1.0), gamma=0.05 ** (1 / 30))
    assert factors("exponential", 30, final=0.05) == pytest.approx(rates_of_torch(reference, 30))


@pytest.mark.parametrize("final", [0.0, 0.2])
def test_cosine_is_torchs(final: float) -> None:
    reference = CosineAnnealingLR(optimizer_at(1.0), T_max=30, eta_min=final)
    assert factors("cosine", 30, final=final) == pytest.approx(rates_of_torch(reference, 30))


@pytest.mark.parametrize("rise", [0.1, 0.3, 0.75])
def test_one_cycle_is_torchs(rise: float) -> None:
    # torch reaches the top and the end one step early: it counts from the first step to the last.
    reference = OneCycleLR(
        optimizer_at(1.0),
        max_lr=1.0,
        total_steps=31,
        pct_start=(30 * rise + 1) / 31,
        div_factor=20,
        final_div_factor=100,
        cycle_momentum=False,
    )
    given = factors("one_cycle", 30, rise=rise, initial_divisor=20, final_divisor=100)
    assert given == pytest.approx(rates_of_torch(reference, 30))
