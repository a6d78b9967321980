"""Tests that all layouts compute the same, and the same as torch does for one network alone."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Literal

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from models.data.dataset import Examples
from models.evaluator import Task
from models.graft import graft_population
from models.layout import SCORING_BATCH
from models.plans.plan import Plan
from models.population import LayoutName, build_layout
from models.recipe.freezing import nothing_frozen
from models.recipe.minibatches import Minibatches
from search.evaluation import Candidate, Evaluation
from tests.models.small_task import (
    IMAGES,
    LOOP,
    N_CLASSES,
    build_network,
    build_task,
    candidates,
    evaluator,
    examples,
    family_task,
    plain_recipe,
)

# Each with images in memory channel by channel, and pixel by pixel where it can.
FUSED: list[tuple[LayoutName, bool]] = [("stacked", False), ("stacked", True), ("vmap", False)]
LAYOUTS: list[tuple[LayoutName, bool]] = [*FUSED, ("loop", False), ("loop", True)]
every_fused_layout = pytest.mark.parametrize(("layout", "channels_last"), FUSED)
every_layout = pytest.mark.parametrize(("layout", "channels_last"), LAYOUTS)
NETWORKS: dict[str, tuple[str, dict[str, object]]] = {
    "mlp": ("mlp", {"hidden": [8, 8]}),
    "cnn": ("small_cnn", {"width": 4, "hidden": 8}),
    "cnn_batch": ("small_cnn", {"width": 4, "hidden": 8, "norm": "batch"}),
    "cnn_group": ("small_cnn", {"width": 4, "hidden": 8, "norm": "group"}),
    "resnet": ("resnet_cifar", {"depth": 8, "width": 4, "norm": "batch"}),
}


class TiedWithDropout(nn.Module):
    """Two layers that share their weight, with dropout between."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(64, 64)
        self.second = nn.Linear(64, 64)
        self.second.weight = self.first.weight
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(64, N_CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.dropout(torch.tanh(self.first(x.flatten(1))))
        logits: torch.Tensor = self.head(self.dropout(torch.tanh(self.second(hidden))))
        return logits


@pytest.fixture(params=sorted(NETWORKS))
def network_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def fused_plan(layout: LayoutName, channels_last: bool) -> Plan:
    return Plan(layout=layout, chunks=(1, 4), channels_last=channels_last, threads=1)


def assert_layouts_agree(
    task: Task, dtype: Literal["float32", "float64"], steps: int, tolerance: float
) -> None:
    """Compare the validation losses of one chunk, computed fused and one by one."""

    def losses(evaluations: list[Evaluation]) -> list[float]:
        return [e.loss for e in evaluations if e.loss is not None]

    asked = candidates(task, steps)
    single = evaluator(task, Plan(layout="loop", dtype=dtype, threads=1))
    one_by_one = losses([evaluation for one in asked for evaluation in single.evaluate([one])])
    assert len(one_by_one) == 4
    for layout, channels_last in FUSED:
        plan = fused_plan(layout, channels_last).model_copy(update={"dtype": dtype})
        fused = losses(evaluator(task, plan).evaluate(asked))
        assert fused == pytest.approx(one_by_one, rel=tolerance), (layout, channels_last)


@pytest.mark.parametrize(
    ("network_name", "optimizer"),
    [*((name, "adam") for name in sorted(NETWORKS)), ("mlp", "sgd"), ("cnn_batch", "sgd")],
)
def test_layouts_agree_in_double_precision(network_name: str, optimizer: str) -> None:
    task = family_task(*NETWORKS[network_name], optimizer={"kind": optimizer}, learning_rate=0.01)
    assert_layouts_agree(task, "float64", steps=5, tolerance=1e-6)


def test_layouts_agree_in_single_precision_after_one_step(network_name: str) -> None:
    assert_layouts_agree(family_task(*NETWORKS[network_name]), "float32", steps=1, tolerance=1e-4)


def test_layouts_agree_on_tied_weights_and_dropout() -> None:
    source, target = TiedWithDropout().state_dict(), TiedWithDropout().state_dict()
    task = build_task(TiedWithDropout(), source, target, learning_rate=0.01)
    assert_layouts_agree(task, "float64", steps=5, tolerance=1e-6)


def test_candidates_in_one_loop_share_the_draws_of_dropout() -> None:
    state = TiedWithDropout().state_dict()
    task = build_task(TiedWithDropout(), state, state, learning_rate=0.01)
    # Source and target are the same, so candidates can only differ by their draws.
    losses = {e.loss for e in evaluator(task, LOOP).evaluate(candidates(task, 5))}
    assert len(losses) == 1


@every_layout
def test_keep_all_equals_ordinary_training_of_the_target(
    layout: LayoutName, channels_last: bool
) -> None:
    task = family_task(*NETWORKS["cnn_batch"])
    network, data, minibatches = (
        build_network(*NETWORKS["cnn_batch"]),
        examples(24),
        torch.arange(16),
    )
    network.load_state_dict(task.target(0))
    keeps = torch.ones(1, task.genes.n_genes, dtype=torch.bool)
    population = graft_population(task.target(0), task.source, task.genes, keeps)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for indices in minibatches.view(2, 8):
        optimizer.zero_grad()
        loss = cross_entropy(network(data.inputs["x"][indices]), data.labels[indices])
        loss.backward()
        optimizer.step()
    build_layout(layout, build_network(*NETWORKS["cnn_batch"]), channels_last=channels_last).train(
        population,
        data,
        Minibatches.common(minibatches.view(2, 8)),
        plain_recipe(nothing_frozen(1)),
    )
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(population[name][0], tensor)


@every_layout
def test_each_candidate_has_its_own_running_statistics(
    layout: LayoutName, channels_last: bool
) -> None:
    task = family_task(*NETWORKS["cnn_batch"])
    keeps = torch.tensor([[True], [False]]).expand(2, task.genes.n_genes)
    population = graft_population(task.target(0), task.source, task.genes, keeps)
    build_layout(layout, build_network(*NETWORKS["cnn_batch"]), channels_last=channels_last).train(
        population,
        examples(24),
        Minibatches.common(torch.arange(8).view(1, 8)),
        plain_recipe(nothing_frozen(2)),
    )
    assert not torch.equal(population["norm2.running_mean"][0], population["norm2.running_mean"][1])
    assert population["norm2.num_batches_tracked"].tolist() == [1, 1]


@every_layout
def test_logits_do_not_depend_on_how_samples_are_cut(
    layout: LayoutName, channels_last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, part = build_network(*NETWORKS["cnn_batch"]), examples(10)
    state = {
        name: tensor.repeat(2, *[1] * tensor.ndim) for name, tensor in network.state_dict().items()
    }
    whole = build_layout(layout, copy.deepcopy(network), channels_last=channels_last).logits(
        state, part
    )
    # Samples times candidates: 3 of 10 at once in a fused layout.
    monkeypatch.setitem(SCORING_BATCH, "cpu", 6)
    assert whole.shape == (2, 10, N_CLASSES)
    pieces = build_layout(layout, network, channels_last=channels_last).logits(state, part)
    torch.testing.assert_close(pieces, whole)


@every_layout
def test_training_leaves_plain_tensors(layout: LayoutName, channels_last: bool) -> None:
    network = build_network(*NETWORKS["mlp"])
    state = {
        name: tensor.repeat(2, *[1] * tensor.ndim) for name, tensor in network.state_dict().items()
    }
    data = Examples({"x": torch.randn(8, *IMAGES.inputs["x"])}, torch.arange(8) % N_CLASSES)
    build_layout(layout, network, channels_last=channels_last).train(
        state, data, Minibatches.common(torch.arange(8).view(1, 8)), plain_recipe(nothing_frozen(2))
    )
    assert not any(tensor.requires_grad for tensor in state.values())


def scores(task: Task, plan: Plan, asked: Sequence[Candidate]) -> list[tuple[object, object]]:
    return [(e.fitness, e.loss) for e in evaluator(task, plan).evaluate(asked)]


# What a run depends on besides what it is asked for would show in the order of neighbours too.
@pytest.mark.parametrize("network_name", ["mlp", "resnet"])
@every_fused_layout
def test_a_seeded_run_repeats_bit_for_bit(
    layout: LayoutName, channels_last: bool, network_name: str
) -> None:
    task, plan = family_task(*NETWORKS[network_name]), fused_plan(layout, channels_last)
    asked = candidates(task, 3)
    assert scores(task, plan, asked) == scores(task, plan, asked)


@every_fused_layout
def test_neighbours_do_not_change_a_single_bit(
    layout: LayoutName, channels_last: bool, network_name: str
) -> None:
    task, plan = family_task(*NETWORKS[network_name]), fused_plan(layout, channels_last)
    one, two, three, four = candidates(task, 3)
    together = scores(task, plan, [one, two, three, four])
    assert scores(task, plan, [four, two, three, one]) == [together[i] for i in (3, 1, 2, 0)]
    # Three candidates are padded to a chunk of four.
    assert scores(task, plan, [one, three, four]) == [together[i] for i in (0, 2, 3)]
