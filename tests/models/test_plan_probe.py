"""Tests of choosing a plan by measuring."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from models.finetuning.full import FullConfig
from models.plan_probe import ProbeWork, probe_plans
from models.strategy import build_strategy
from tests.models.small_task import N_CLASSES, build_network, examples


class ReadsItsData(nn.Module):
    """Cannot be fused: takes a way that depends on a value of its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.linear(x.flatten(1))
        return logits if self.linear.weight.sum().item() > 0 else -logits


@pytest.fixture(autouse=True)
def _threads_are_restored() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def work(network: nn.Module) -> ProbeWork:
    return ProbeWork(network, network.state_dict(), examples(24), build_strategy(FullConfig()))


@pytest.mark.parametrize("n_cores", [1, 2])
def test_the_fastest_plan_tried_is_chosen(n_cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.plan_probe.available_cores", lambda: n_cores)
    outcome = probe_plans(work(build_network("mlp", {"hidden": [8]})), most_candidates=8)
    plan, timings = outcome.plan, outcome.milliseconds
    fastest = min(timings, key=lambda name: timings[name])
    assert {"loop", "vmap x 4"} <= timings.keys()
    assert fastest.startswith("loop" if plan.layout == "loop" else f"vmap x {plan.chunk_size}")
    assert plan.threads == (1 if fastest.endswith("1 thread") else n_cores)
    assert json.loads(json.dumps(timings)) == timings


def test_threads_that_stand_in_each_others_way_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("models.plan_probe.available_cores", lambda: 2)
    monkeypatch.setattr("models.plan_probe._milliseconds", lambda plan, _: float(plan.threads))
    outcome = probe_plans(work(build_network("mlp", {"hidden": [8]})), most_candidates=4)
    assert outcome.plan.threads == 1
    assert outcome.milliseconds["loop, 1 thread"] == 1


def test_chunks_that_are_never_asked_for_are_not_tried() -> None:
    outcome = probe_plans(work(build_network("mlp", {"hidden": [8]})), most_candidates=4)
    assert not any("vmap x 8" in name for name in outcome.milliseconds)


def test_a_network_that_cannot_be_fused_gets_the_loop_with_the_reason() -> None:
    outcome = probe_plans(work(ReadsItsData()), most_candidates=8)
    assert outcome.plan.layout == "loop"
    assert "item()" in outcome.refusals["vmap x 4"]


def test_measuring_changes_neither_network_nor_state() -> None:
    network = build_network("small_cnn", {"width": 4, "hidden": 8, "norm": "batch"})
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    probe_plans(work(network), most_candidates=4)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
