"""Modules as users bring them: frozen weights, buffers outside the state, other dtypes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from models.evaluator import Task
from models.plans.plan import Plan
from models.population import build_layout
from models.population.scratch_buffers import ScratchBuffers
from models.recipe.freezing import nothing_frozen
from models.recipe.minibatches import Minibatches
from search.evaluation import Candidate
from search.genome import keep_all, transfer_all
from tests.models.small_task import LOOP, N_CLASSES, VMAP, build_task, evaluator, plain_recipe


class WithFrozenFirstLayer(nn.Module):
    """A frozen layer below a trained one."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(64, 8).requires_grad_(False)
        self.head = nn.Linear(8, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(torch.relu(self.first(x.flatten(1))))
        return logits


class Counting(nn.Module):
    """Scales by how often it was called, which it keeps in a buffer outside its state."""

    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(64, N_CLASSES)
        self.register_buffer("calls", torch.zeros(()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.calls += 1
        logits: Tensor = self.head(x.flatten(1)) * (1 + 0.1 * self.calls)
        return logits


def task_of(network: nn.Module) -> Task:
    torch.manual_seed(0)
    source = {name: torch.randn_like(x) for name, x in network.state_dict().items()}
    return build_task(network, source, dict(network.state_dict()))


@pytest.mark.parametrize("plan", [LOOP, VMAP], ids=["loop", "vmap"])
def test_weights_that_the_network_freezes_stay_as_they_were_in_every_plan(plan: Plan) -> None:
    task = task_of(WithFrozenFirstLayer())
    layout = build_layout(plan.layout, task.network)
    state = {name: x.unsqueeze(0).clone() for name, x in task.target(0).items()}
    before = {name: x.clone() for name, x in state.items()}
    layout.train(
        state,
        task.data.train,
        Minibatches.common(torch.arange(24).view(3, 8)),
        plain_recipe(nothing_frozen(1)),
    )
    assert torch.equal(state["first.weight"], before["first.weight"])
    assert not torch.equal(state["head.weight"], before["head.weight"])


def test_buffers_outside_the_state_do_not_reach_the_next_candidate() -> None:
    task = task_of(Counting())
    asked = Candidate(keep_all(1), 3)
    measures = evaluator(task, LOOP)
    alone = measures.evaluate([asked])[0].loss
    for _ in range(3):
        measures.evaluate([Candidate(transfer_all(1), 3)])
    assert measures.evaluate([asked])[0].loss == alone


def test_scratch_buffers_are_restored_even_where_a_module_replaced_them() -> None:
    network = nn.Sequential(Counting())
    scratch = ScratchBuffers(network)
    module = network[0]
    assert isinstance(module, Counting)
    module.calls = module.calls + 5
    scratch.restore()
    assert module.calls == 0
