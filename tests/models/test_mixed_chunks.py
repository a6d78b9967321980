"""Tests of chunks whose candidates differ in replicate: nobody's score depends on the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from models.evaluator import Task
from models.plans.plan import Plan
from models.population import LayoutName
from models.recipe.mixing import can_mix_replicates
from models.recipe.teachers import with_teachers
from search.evaluation import Arm, Candidate, Evaluation
from tests.models.recipe_cases import (
    FUSED,
    LAYOUTS,
    Perceptron,
    SmallConvolution,
    masks,
    recipe_task,
)
from tests.models.small_task import N_CLASSES, build_network, evaluator, family_task

STEPS = 6
SMALL: dict[str, dict[str, object]] = {
    "mlp": {"hidden": [16, 16]},
    "small_cnn": {"width": 4, "hidden": 8},
    "resnet_cifar": {"depth": 8, "width": 4},
}
MIXABLE = [
    pytest.param({}, id="plain"),
    pytest.param({"batch_norm": {"reestimate": "after"}}, id="statistics"),
    pytest.param({"sampling": "balanced"}, id="balanced"),
    pytest.param({"early_stopping": {"interval": 2, "patience": 1}}, id="early stopping"),
    pytest.param({"kind": "distill"}, id="teacher"),
    pytest.param({"loss": {"kind": "cross_entropy", "class_weights": "balanced"}}, id="weights"),
]


class Functional(nn.Module):
    """Drops values out without a layer for it."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p, self.head = p, nn.Linear(64, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(nn.functional.dropout(x.flatten(1), self.p, self.training))
        return logits


class NeedsNumbers(Functional):
    """What it does depends on the values it sees."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if x.sum().item() > 0 else -x)


def mixing(task: Task) -> Task:
    return dataclasses.replace(task, mixes_replicates=True)


def plan(layout: LayoutName, dtype: str = "float64") -> Plan:
    chunks = (1,) if layout == "loop" else (1, 4)
    return Plan.model_validate({"layout": layout, "chunks": chunks, "dtype": dtype, "threads": 1})


def mixed(task: Task) -> list[Candidate]:
    """Four masks at three replicates."""
    replicates = (0, 1, 2, 1)
    return [Candidate(m, STEPS, r) for m, r in zip(masks(task), replicates, strict=True)]


def scores(task: Task, plan: Plan, asked: Sequence[Candidate]) -> list[float]:
    return [loss_of(e) for e in evaluator(task, plan).evaluate(asked)]


def loss_of(evaluation: Evaluation) -> float:
    assert evaluation.loss is not None
    return evaluation.loss


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("options", MIXABLE)
def test_a_mixed_chunk_gives_what_its_candidates_get_alone(
    layout: LayoutName, options: dict[str, object]
) -> None:
    task = recipe_task(SmallConvolution, **{"dropout": 0.0, **options})
    asked = mixed(task)
    # Alone, and with draws that all candidates of a chunk have: the way in which other chunks are trained.
    alone = [scores(task, plan("loop"), [one])[0] for one in asked]
    assert scores(mixing(task), plan(layout), asked) == pytest.approx(alone, rel=1e-6)
    assert len(set(alone)) == 4


@pytest.mark.parametrize("layout", FUSED)
@pytest.mark.parametrize("kind", ["mlp", "resnet_cifar"])
def test_neighbours_at_other_replicates_do_not_change_a_single_bit(
    layout: LayoutName, kind: str
) -> None:
    task = mixing(family_task(kind, SMALL[kind]))
    one, two, three, four = mixed(task)
    together = scores(task, plan(layout, "float32"), [one, two, three, four])
    swapped = scores(task, plan(layout, "float32"), [four, two, three, one])
    assert swapped == [together[row] for row in (3, 1, 2, 0)]
    same = [dataclasses.replace(other, replicate=one.replicate) for other in (two, three, four)]
    assert scores(task, plan(layout, "float32"), [one, *same])[0] == together[0]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_replicate_has_the_target_that_is_drawn_for_it(layout: LayoutName) -> None:
    options: dict[str, object] = {"width": 2, "hidden": 4}
    targets = [build_network("small_cnn", options, seed).state_dict() for seed in range(3)]
    task = dataclasses.replace(family_task("small_cnn", options), target=targets.__getitem__)
    asked = mixed(task)
    alone = [scores(task, plan("loop"), [one])[0] for one in asked]
    assert scores(mixing(task), plan(layout), asked) == pytest.approx(alone, rel=1e-6)


@pytest.mark.parametrize("layout", FUSED)
def test_a_task_that_does_not_mix_refuses_two_replicates(layout: LayoutName) -> None:
    task = recipe_task(SmallConvolution)
    with pytest.raises(ValueError, match="cannot be trained together"):
        scores(task, plan(layout), mixed(task))


@pytest.mark.parametrize("layout", FUSED)
def test_every_rate_of_a_candidate_has_its_replicate(layout: LayoutName) -> None:
    task = recipe_task(SmallConvolution, dropout=0.0)
    asked = [dataclasses.replace(one, arm=Arm((0.01, 0.001))) for one in mixed(task)]
    alone = [scores(task, plan("loop"), [one])[0] for one in asked]
    assert scores(mixing(task), plan(layout), asked) == pytest.approx(alone, rel=1e-6)


@pytest.mark.parametrize("options", MIXABLE)
def test_minibatches_alone_can_be_mixed(options: dict[str, object]) -> None:
    assert is_mixable(recipe_task(SmallConvolution, **{"dropout": 0.0, **options}))
    assert is_mixable(recipe_task(Perceptron, **options))


@pytest.mark.parametrize("kind", SMALL)
def test_families_that_draw_nothing_can_be_mixed(kind: str) -> None:
    assert is_mixable(family_task(kind, SMALL[kind]))


@pytest.mark.parametrize(
    "task",
    [
        pytest.param(recipe_task(SmallConvolution), id="dropout"),
        pytest.param(recipe_task(Perceptron, dropout=0.5), id="no dropout to set"),
        pytest.param(recipe_task(Perceptron, augmentation=[{"kind": "noise"}]), id="augmentation"),
        pytest.param(recipe_task(Perceptron, kind="partial"), id="freezing"),
        pytest.param(recipe_task(Perceptron, kind="linear_probe_then_full"), id="frozen at first"),
    ],
)
def test_what_draws_or_freezes_is_not_mixed(task: Task, request: pytest.FixtureRequest) -> None:
    draws_nothing = request.node.callspec.id == "no dropout to set"
    assert is_mixable(task) is draws_nothing


@pytest.mark.parametrize(
    ("network", "wanted"),
    [(Functional(0.5), False), (Functional(0.0), True), (NeedsNumbers(0.0), False)],
    ids=["functional dropout", "of probability 0", "cannot be seen"],
)
def test_a_network_is_watched_while_it_runs(network: nn.Module, *, wanted: bool) -> None:
    task = recipe_task(Perceptron)
    found = can_mix_replicates(network, task.genes, task.strategy, task.data.train)
    assert found is wanted
    # Nothing was changed, and no number was drawn.
    assert next(network.parameters()).device.type == "cpu"


def test_looking_draws_nothing() -> None:
    task = recipe_task(SmallConvolution)
    before = torch.get_rng_state()
    is_mixable(task)
    assert torch.equal(torch.get_rng_state(), before)


def is_mixable(task: Task) -> bool:
    task = with_teachers(task)
    return can_mix_replicates(task.network, task.genes, task.strategy, task.data.train)
