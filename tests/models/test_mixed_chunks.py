"""Tests of chunks whose candidates differ in replicate: nobody's score depends on the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from models.checkpoints import State
from models.data.dataset import Examples
from models.data.splits import TaskData
from models.evaluator import Task
from models.genes import GenomeOptions, build_gene_map
from models.plans.plan import Plan
from models.population import LayoutName
from models.recipe.mixing import can_mix_replicates
from models.weights_source import state_shapes
from search.evaluation import Arm, Candidate
from tests.models.recipe_cases import (
    FUSED,
    LAYOUTS,
    Perceptron,
    SmallConvolution,
    masks,
    recipe_task,
)
from tests.models.small_task import (
    N_CLASSES,
    build_network,
    build_task,
    evaluator,
    family_task,
)

STEPS = 6
SMALL: dict[str, dict[str, object]] = {
    "mlp": {"hidden": [16, 16]},
    "small_cnn": {"width": 4, "hidden": 8},
    "resnet_cifar": {"depth": 8, "width": 4},
}
MIXABLE = [
    pytest.param({}, id="plain"),
    pytest.param({"sampling": "balanced"}, id="balanced"),
    pytest.param({"early_stopping": {"interval": 2, "patience": 1}}, id="early stopping"),
    pytest.param({"kind": "distill"}, id="teacher"),
    pytest.param({"loss": {"kind": "cross_entropy", "class_weights": "balanced"}}, id="weights"),
    pytest.param({"loss": {"kind": "mse"}}, id="mse"),
    pytest.param({"optimizer": {"kind": "sgd"}, "schedule": {"kind": "cosine"}}, id="sgd"),
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


class WritesIntoItsOwn(Functional):
    """Copies samples into a tensor that all candidates have in common, which ``vmap`` refuses."""

    def forward(self, x: Tensor) -> Tensor:
        padded = torch.zeros(len(x), 1, 8, 8, device=x.device, dtype=x.dtype)
        padded[:, :, 1:] = x[:, :, 1:]
        return super().forward(padded)


class DrawsOnTheCPU(Functional):
    """Draws, wherever its weights are."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * float(torch.rand(()))


class Words(nn.Module):
    """Two embeddings with padding, one of them without a layer for it, and a second input."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(7, 4, padding_idx=1)
        self.places = nn.Parameter(torch.randn(7, 4))
        self.head = nn.Linear(8, N_CLASSES)

    def forward(self, tokens: Tensor, scale: Tensor) -> Tensor:
        found = nn.functional.embedding(tokens, self.places, padding_idx=1)
        both = torch.cat([self.words(tokens), found], dim=-1).mean(dim=1)
        logits: Tensor = self.head(both * scale)
        return logits


def words_task() -> Task:
    def part(n_samples: int) -> Examples:
        labels = torch.arange(n_samples) % N_CLASSES
        tokens = (torch.arange(5 * n_samples).view(-1, 5) * 3 + labels.unsqueeze(1)) % 7
        return Examples({"tokens": tokens, "scale": torch.ones(n_samples, 1)}, labels)

    torch.manual_seed(3)
    network, source, target = Words(), Words().state_dict(), Words().state_dict()
    data = TaskData(part(24), part(31), part(13), tuple(map(str, range(N_CLASSES))))
    genes = build_gene_map(network, state_shapes(network), GenomeOptions(granularity="tensor"))
    return dataclasses.replace(
        build_task(network, source, target, learning_rate=0.01), data=data, genes=genes
    )


def mixing(task: Task) -> Task:
    return dataclasses.replace(task, mixes_replicates=True)


def plan(layout: LayoutName, dtype: str = "float64") -> Plan:
    chunks = (1,) if layout == "loop" else (1, 4)
    return Plan.model_validate({"layout": layout, "chunks": chunks, "dtype": dtype, "threads": 1})


def mixed(task: Task, steps: int = STEPS) -> list[Candidate]:
    """Four masks at three replicates."""
    replicates = (0, 1, 2, 1)
    return [Candidate(m, steps, r) for m, r in zip(masks(task), replicates, strict=True)]


def scores(task: Task, plan: Plan, asked: Sequence[Candidate]) -> list[float]:
    losses = [evaluation.loss for evaluation in evaluator(task, plan).evaluate(asked)]
    return [loss for loss in losses if loss is not None]


def alone(task: Task, asked: Sequence[Candidate]) -> list[float]:
    """One by one, with draws that are a whole chunk's: the way in which other tasks are trained."""
    return [scores(task, plan("loop"), [one])[0] for one in asked]


def is_mixable(task: Task) -> bool:
    return can_mix_replicates(task.network, task.genes, task.strategy, task.data.train)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("options", MIXABLE)
def test_a_mixed_chunk_gives_what_its_candidates_get_alone(
    layout: LayoutName, options: dict[str, object]
) -> None:
    task = recipe_task(SmallConvolution, **{"dropout": 0.0, **options})
    asked = mixed(task)
    wanted = alone(task, asked)
    assert scores(mixing(task), plan(layout), asked) == pytest.approx(wanted, rel=1e-6)
    assert len(set(wanted)) == 4


@pytest.mark.parametrize("layout", LAYOUTS)
def test_words_of_its_own_train_a_candidate_as_if_it_were_alone(layout: LayoutName) -> None:
    task = words_task()
    asked = mixed(task)
    assert is_mixable(task)
    assert scores(mixing(task), plan(layout), asked) == pytest.approx(alone(task, asked), rel=1e-9)


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


@pytest.mark.parametrize("layout", FUSED)
def test_weights_in_another_order_in_memory_change_no_bit_either(layout: LayoutName) -> None:
    def states(network: nn.Module) -> dict[str, Tensor]:
        ordered: nn.Module = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return ordered.state_dict()

    source, target = (states(build_network("small_cnn", SMALL["small_cnn"], n)) for n in (1, 2))
    network = build_network("small_cnn", SMALL["small_cnn"])
    task = mixing(build_task(network, source, target))
    one, *others = mixed(task)
    same = [dataclasses.replace(other, replicate=one.replicate) for other in others]
    together, alike = (
        scores(task, plan(layout, "float32"), [one, *rest])[0] for rest in (others, same)
    )
    assert together == alike


@pytest.mark.parametrize("steps", [0, STEPS])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_replicate_has_the_target_that_is_drawn_for_it(
    layout: LayoutName, steps: int
) -> None:
    options = SMALL["resnet_cifar"]
    targets = [build_network("resnet_cifar", options, seed).state_dict() for seed in range(3)]
    task = dataclasses.replace(family_task("resnet_cifar", options), target=targets.__getitem__)
    asked = mixed(task, steps)
    assert scores(mixing(task), plan(layout), asked) == pytest.approx(alone(task, asked), rel=1e-6)


def test_a_target_that_is_not_redrawn_is_made_once_per_chunk() -> None:
    task, made = mixing(family_task("mlp", SMALL["mlp"])), list[int]()

    def target(replicate: int) -> State:
        made.append(replicate)
        return task.target(replicate)

    asked = mixed(task)
    once = dataclasses.replace(task, target=target, redraws_target=False)
    assert scores(once, plan("stacked"), asked) == scores(task, plan("stacked"), asked)
    assert made == [0]


@pytest.mark.parametrize("layout", FUSED)
def test_every_rate_of_a_candidate_has_its_replicate(layout: LayoutName) -> None:
    task = recipe_task(SmallConvolution, dropout=0.0)
    asked = [dataclasses.replace(one, arm=Arm((0.01, 0.001))) for one in mixed(task)]
    assert scores(mixing(task), plan(layout), asked) == pytest.approx(alone(task, asked), rel=1e-6)


@pytest.mark.parametrize("layout", FUSED)
def test_a_task_that_does_not_mix_refuses_two_replicates(layout: LayoutName) -> None:
    task = recipe_task(SmallConvolution)
    with pytest.raises(ValueError, match="cannot be trained together"):
        scores(task, plan(layout), mixed(task))


@pytest.mark.parametrize("options", MIXABLE)
def test_minibatches_alone_can_be_mixed(options: dict[str, object]) -> None:
    assert is_mixable(recipe_task(SmallConvolution, **{"dropout": 0.0, **options}))
    assert is_mixable(recipe_task(Perceptron, **options))


@pytest.mark.parametrize("kind", SMALL)
def test_families_that_draw_nothing_can_be_mixed(kind: str) -> None:
    assert is_mixable(family_task(kind, SMALL[kind]))


@pytest.mark.parametrize(
    ("network", "options"),
    [
        pytest.param(SmallConvolution, {}, id="dropout"),
        pytest.param(Perceptron, {"augmentation": [{"kind": "noise"}]}, id="augmentation"),
        pytest.param(Perceptron, {"kind": "partial"}, id="freezing"),
        pytest.param(Perceptron, {"kind": "linear_probe_then_full"}, id="frozen at first"),
        pytest.param(
            SmallConvolution,
            {"dropout": 0.0, "batch_norm": {"frozen": True}},
            id="frozen statistics",
        ),
        pytest.param(
            SmallConvolution,
            {"dropout": 0.0, "batch_norm": {"reestimate": "before"}},
            id="statistics measured anew",
        ),
    ],
)
def test_what_draws_or_freezes_is_not_mixed(
    network: type[nn.Module], options: dict[str, object]
) -> None:
    assert not is_mixable(recipe_task(network, **options))


@pytest.mark.parametrize(
    ("network", "wanted"),
    [
        pytest.param(Functional(0.5), False, id="functional dropout"),
        pytest.param(Functional(0.0), True, id="of probability 0"),
        pytest.param(NeedsNumbers(0.0), False, id="cannot be seen"),
        pytest.param(WritesIntoItsOwn(0.0), False, id="no samples of their own"),
        pytest.param(DrawsOnTheCPU(0.0), False, id="draws on the CPU"),
    ],
)
def test_a_network_is_watched_while_it_runs_and_nothing_is_changed(
    network: nn.Module, *, wanted: bool
) -> None:
    task = build_task(network, network.state_dict(), network.state_dict())
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    draws = torch.get_rng_state()
    assert is_mixable(task) is wanted
    assert torch.equal(torch.get_rng_state(), draws)
    assert all(torch.equal(network.state_dict()[name], x) for name, x in before.items())
