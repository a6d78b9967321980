"""Tests of committing to a plan on real networks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from models.devices import pick_device
from models.evaluator import Task
from models.plans.plan import Plan
from search.decisions import Decision, DecisionLog
from search.errors import InvalidInputError
from search.learning_rate import PREPARING_PHASE
from search.ledger import InMemoryLedger, JsonLinesLedger, Position
from service.planning import Workers, commit_to_plan, measure_plans, mixes_replicates
from service.spec import SearchOptions
from tests.models.small_task import CPU, N_CLASSES, build_task, family_task


class ReadsItsData(nn.Module):
    """Cannot be fused: takes a way that depends on a value of its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.linear(x.flatten(1))
        return logits if self.linear.weight.sum().item() > 0 else -logits


class WithScale(nn.Module):
    """Has a parameter of its own, for which there is no population layer."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.linear = nn.Linear(64, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.linear(x.flatten(1)) * self.scale
        return logits


@pytest.fixture(autouse=True)
def _threads_are_restored() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _evaluations_run_on_the_cpu() -> None:
    if pick_device().type != "cpu":
        pytest.skip("plans of the CPU")


def task_of(network: nn.Module) -> Task:
    return build_task(network, network.state_dict(), network.state_dict())


def options(**changes: object) -> SearchOptions:
    return SearchOptions.model_validate({"budget": {"evaluations": 8}, **changes})


def test_a_real_network_gets_a_plan_and_is_not_changed_by_the_measuring() -> None:
    task = family_task("small_cnn", {"width": 4, "hidden": 8, "norm": "batch"})
    before = {name: tensor.clone() for name, tensor in task.network.state_dict().items()}
    outcome = measure_plans(task, options(), CPU, Workers(task, None))
    tried = {label.rpartition(",")[0] for label in outcome.milliseconds}
    assert "loop" in tried
    assert any("stacked" in label and "channels last" in label for label in tried)
    assert any("stacked" in label and "channels last" not in label for label in tried)
    assert min(outcome.milliseconds, key=lambda x: outcome.milliseconds[x]) == outcome.plan.label
    assert all(math.isfinite(taken) for taken in outcome.milliseconds.values())
    after = task.network.state_dict()
    assert all(torch.equal(before[name], tensor) for name, tensor in after.items())


def test_a_network_that_cannot_be_fused_gets_the_loop_with_the_reason() -> None:
    task = task_of(ReadsItsData())
    outcome = measure_plans(task, options(), CPU, Workers(task, None))
    assert outcome.plan.layout == "loop"
    assert any("item()" in reason for reason in outcome.refusals.values())


def test_layers_that_a_stacked_plan_leaves_to_vmap_are_told() -> None:
    task = task_of(WithScale())
    outcome = measure_plans(task, options(), CPU, Workers(task, None))
    if outcome.plan.layout == "stacked":
        assert "has no population layer" in outcome.refusals["stacked: the network"]


@pytest.mark.parametrize("recorded", [True, False, None])
def test_whether_a_job_mixes_replicates_is_decided_with_its_plan(recorded: bool | None) -> None:
    task, ledger = family_task("mlp", {"hidden": [4]}), InMemoryLedger()
    assert mixes_replicates(task, DecisionLog(ledger))
    pinned = options(plan={"layout": "stacked", "chunks": [1, 4], "threads": 1})
    if recorded is None:
        # Written before there was a choice.
        plan = pinned.plan.model_dump(mode="json") if isinstance(pinned.plan, Plan) else None
        value: Decision = {"plan": plan, "refusals": {}}
        DecisionLog(ledger).record(Position(PREPARING_PHASE), "plan", value, {})
    else:
        job = replace(task, mixes_replicates=recorded)
        commit_to_plan(job, pinned, CPU, DecisionLog(ledger), Workers(job, None))
    assert mixes_replicates(task, DecisionLog(ledger)) is (recorded is True)


def test_a_plan_is_measured_once_in_the_life_of_a_job(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    task, path = task_of(ReadsItsData()), tmp_path_factory.mktemp("job") / "ledger.jsonl"
    plans = [
        commit_to_plan(
            task, options(), CPU, DecisionLog(JsonLinesLedger(path)), Workers(task, None)
        )
        for _ in range(2)
    ]
    assert plans[0] == plans[1]
    assert plans[0][1]


@pytest.mark.parametrize(
    ("plan", "field"),
    [
        ({"layout": "vmap", "chunks": [1, 2]}, "plan.layout"),
        ({"layout": "stacked", "chunks": [1, 2]}, "plan.layout"),
        ({"layout": "loop", "captured": True}, "plan.captured"),
        ({"layout": "loop", "dtype": "tf32"}, "plan.dtype"),
    ],
)
def test_a_pinned_plan_that_cannot_be_computed_is_refused_by_name(
    plan: dict[str, object], field: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    task, path = task_of(ReadsItsData()), tmp_path_factory.mktemp("job") / "ledger.jsonl"
    with pytest.raises(InvalidInputError, match=field):
        commit_to_plan(
            task,
            options(plan=plan),
            CPU,
            DecisionLog(JsonLinesLedger(path)),
            Workers(task, None),
        )


def test_a_pinned_plan_is_taken_as_it_is(tmp_path_factory: pytest.TempPathFactory) -> None:
    plan = Plan(layout="stacked", chunks=(1, 4), threads=1)
    task, path = task_of(WithScale()), tmp_path_factory.mktemp("job") / "ledger.jsonl"
    pinned = replace(task)
    taken, refusals = commit_to_plan(
        pinned,
        options(plan=plan.model_dump()),
        CPU,
        DecisionLog(JsonLinesLedger(path)),
        Workers(pinned, None),
    )
    assert taken == plan
    assert refusals == {}
