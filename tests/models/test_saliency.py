"""Gene priors: what gradients promise is what small swaps do, and nothing is changed by asking."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from models.checkpoints import State
from models.evaluator import Task
from models.families import FAMILIES
from models.family import build_family
from models.finetuning.full import FullConfig
from models.randomness import seeded_torch
from models.recipe.strategy import build_strategy
from models.saliency import measure_gene_priors
from search.optimizer import GenePriors
from tests.contracts.family_cases import case_of, install_fakes
from tests.models.small_task import (
    CPU,
    build_network,
    build_task,
    family_task,
    task_data,
)

Named = tuple[str, dict[str, object]]
CNN: Named = ("small_cnn", {"width": 2})
MLP: Named = ("mlp", {"hidden": [6, 5]})


def priors_of(task: Task) -> GenePriors:
    priors = measure_gene_priors(task, CPU)
    assert priors is not None
    return priors


def nearby_task(size: float) -> Task:
    """A source that differs a little from the target."""
    network = build_network(*MLP)
    target = build_network(*MLP, seed=2).state_dict()
    stream = torch.Generator().manual_seed(0)
    source = {
        name: tensor + size * torch.randn(tensor.shape, generator=stream)
        for name, tensor in target.items()
    }
    return build_task(network, source, target, batch_size=24)


def drawn_task(kind: str) -> Task:
    """Two fresh networks of a family."""
    case = case_of(kind)
    family = build_family(FAMILIES.config(kind).model_validate(case.options), case.surroundings)
    states = []
    for seed in (1, 2):
        with seeded_torch(seed):
            states.append(family.build(case.shape).state_dict())
    task = build_task(family.build(case.shape), *states)
    return replace(task, data=task_data(case.shape))


@torch.no_grad()
def training_loss(task: Task, state: State) -> float:
    network = build_network(*MLP).double()
    network.load_state_dict(state)
    train = task.data.train
    logits = network(train.inputs["x"].double())
    return float(nn.functional.cross_entropy(logits, train.labels))


def test_saliency_is_the_change_of_the_loss_by_a_small_swap() -> None:
    task = nearby_task(1e-4)
    target, source = task.target(0), task.source
    priors = priors_of(task)
    for gene, saliency in zip(task.genes.genes, priors.saliencies, strict=True):
        changes = []
        for ground, other in ((target, source), (source, target)):
            swapped = {**ground, **{name: other[name] for name in gene.tensors}}
            changes.append(abs(training_loss(task, swapped) - training_loss(task, dict(ground))))
        assert saliency == pytest.approx(sum(changes) / 2, rel=0.02)


def test_the_gradient_ratio_is_gradient_over_weight_in_transfer_all() -> None:
    task = nearby_task(0.1)
    network = build_network(*MLP)
    network.load_state_dict(task.source)
    train = task.data.train
    nn.functional.cross_entropy(network(**train.inputs), train.labels).backward()
    weights = dict(network.named_parameters())
    for gene, ratio in zip(task.genes.genes, priors_of(task).gradient_ratios, strict=True):
        own = [weights[name] for name in gene.tensors]
        slopes = [weight.grad for weight in own if weight.grad is not None]
        gradient, weight = (
            torch.cat([x.detach().flatten() for x in tensors]).norm() for tensors in (slopes, own)
        )
        assert ratio == pytest.approx(float(gradient / weight), rel=1e-3)


def test_identical_networks_have_no_saliency() -> None:
    state = build_network(*CNN, seed=1).state_dict()
    priors = priors_of(build_task(build_network(*CNN), state, state))
    assert set(priors.saliencies) == {0.0}
    assert all(ratio > 0 for ratio in priors.gradient_ratios)


@pytest.mark.parametrize("kind", FAMILIES.names())
def test_every_family_is_served_and_nothing_changes(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind in ("timm", "torchvision"):
        install_fakes(monkeypatch)
    task = drawn_task(kind)
    states = (task.network.state_dict(), task.source, task.target(0))
    before = [{name: x.clone() for name, x in state.items()} for state in states]
    generator_state = torch.get_rng_state()
    first = priors_of(task)
    assert len(first.saliencies) == len(first.gradient_ratios) == task.genes.n_genes
    assert all(math.isfinite(x) and x >= 0 for x in first.saliencies + first.gradient_ratios)
    assert any(first.saliencies)
    for state, copy in zip(states, before, strict=True):
        assert all(torch.equal(state[name], tensor) for name, tensor in copy.items())
    assert torch.equal(torch.get_rng_state(), generator_state)
    assert all(weight.grad is None for weight in task.network.parameters())
    assert priors_of(task) == first


def test_a_network_that_diverges_has_no_priors() -> None:
    task = family_task(*MLP)
    endless = {name: torch.full_like(x, math.inf) for name, x in task.source.items()}
    assert measure_gene_priors(replace(task, source=endless), CPU) is None


def test_weights_of_zero_have_a_finite_ratio() -> None:
    task = family_task(*MLP)
    blank = {name: torch.zeros_like(x) for name, x in task.source.items()}
    assert all(map(math.isfinite, priors_of(replace(task, source=blank)).gradient_ratios))


@pytest.mark.parametrize(
    "options",
    [
        {"loss": {"kind": "mse"}},
        {"loss": {"kind": "cross_entropy", "class_weights": "balanced"}, "sampling": "balanced"},
        {"batch_norm": {"frozen": True}},
        {"batch_size": 7},
    ],
    ids=["mse", "weights", "statistics", "minibatches"],
)
def test_the_recipe_counts(options: dict[str, object]) -> None:
    task = family_task("resnet_cifar", {"depth": 8, "width": 2}, batch_size=24)
    other = replace(
        task, strategy=build_strategy(FullConfig.model_validate({"batch_size": 24, **options}))
    )
    assert priors_of(other).saliencies != priors_of(task).saliencies


def test_parameters_that_are_not_trained_count_as_well() -> None:
    network = build_network(*MLP)
    network.requires_grad_(False)
    states = [build_network(*MLP, seed).state_dict() for seed in (1, 2)]
    assert all(priors_of(build_task(network, *states)).saliencies)
