"""Tests of partial fine-tuning: what it freezes, and that every layout leaves exactly that as it was."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import get_args

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn.functional import batch_norm

from models.checkpoints import State
from models.evaluator import Task
from models.finetuning.partial import PartialConfig, PartialFineTuning
from models.genes import GeneMap, GenomeOptions, build_gene_map
from models.graft import graft_population
from models.layout import Recipe
from models.plans.plan import Plan
from models.population import LayoutName, build_layout, rated_optimizer
from models.population.gated_norm import gated_batch_norm, gates
from models.recipe.freezing import Freezing, tensors_kept
from models.recipe.minibatches import Minibatches
from models.recipe.training_optimizer import (
    ParameterGroup,
    TrainingOptimizerConfig,
    build_training_optimizer,
)
from models.weights_source import state_shapes
from search.errors import InvalidInputError
from search.evaluation import Candidate
from search.genome import Genome, keep_all, transfer_all
from tests.models.small_task import (
    N_CLASSES,
    VMAP,
    build_network,
    build_task,
    candidates,
    evaluator,
    family_task,
    spread_masks,
)

LAYOUTS: tuple[LayoutName, ...] = get_args(LayoutName)
FUSED = tuple(layout for layout in LAYOUTS if layout != "loop")
NETWORKS: dict[str, tuple[str, dict[str, object]]] = {
    "mlp": ("mlp", {"hidden": [8, 8]}),
    "cnn_batch": ("small_cnn", {"width": 4, "hidden": 8, "norm": "batch"}),
    "cnn_group": ("small_cnn", {"width": 4, "hidden": 8, "norm": "group"}),
    "resnet": ("resnet_cifar", {"depth": 8, "width": 4, "norm": "batch"}),
}
FREEZES: dict[str, dict[str, object]] = {
    "transferred": {"freeze": "transferred"},
    "kept": {"freeze": "kept"},
    "all_but_last": {"freeze": "all_but_last", "last_genes": 2},
}
OPTIMIZERS: dict[str, dict[str, object]] = {
    "adam": {"kind": "adam", "weight_decay": 0.1},
    "sgd": {"kind": "sgd", "weight_decay": 0.1, "momentum": 0.9, "nesterov": True},
}


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> LayoutName:
    value: LayoutName = request.param
    return value


@pytest.fixture(params=sorted(FREEZES))
def freeze(request: pytest.FixtureRequest) -> dict[str, object]:
    return FREEZES[request.param]


def partial(**options: object) -> PartialFineTuning:
    return PartialFineTuning(
        PartialConfig.model_validate({"batch_size": 8, "learning_rate": 0.01, **options})
    )


def partial_task(network: str, **options: object) -> Task:
    return dataclasses.replace(family_task(*NETWORKS[network]), strategy=partial(**options))


def freezing_of(task: Task, genomes: Sequence[Genome]) -> Freezing:
    return Freezing(
        tuple(task.strategy.stages[0].objective.frozen(task.genes, genome) for genome in genomes),
        tensors_kept(task.genes, genomes),
    )


def trained(task: Task, layout: LayoutName, genomes: Sequence[Genome]) -> tuple[State, State]:
    """State of a chunk before and after three steps."""
    torch.set_num_threads(1)
    keeps = torch.tensor([genome.keeps for genome in genomes])
    state = graft_population(task.target(0), task.source, task.genes, keeps)
    before = {name: tensor.clone() for name, tensor in state.items()}
    recipe = Recipe(
        task.strategy.stages[0].objective, (0.01,) * len(genomes), freezing_of(task, genomes)
    )
    minibatches = Minibatches.common(torch.arange(24).view(3, 8))
    build_layout(layout, task.network).train(state, task.data.train, minibatches, recipe)
    return before, state


def losses(task: Task, layout: LayoutName, asked: Sequence[Candidate]) -> list[float]:
    """Validation losses of one chunk; the loop takes it one by one."""
    chunks = (1,) if layout == "loop" else (1, 4)
    measure = evaluator(task, Plan(layout=layout, chunks=chunks, dtype="float64", threads=1))
    cut = [[one] for one in asked] if layout == "loop" else [asked]
    return [e.loss for chunk in cut for e in measure.evaluate(chunk) if e.loss is not None]


class ScaledBatchNorm(nn.BatchNorm1d):
    """A normalisation with arithmetic and a submodule of its own."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.act = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.act(2 * super().forward(x))
        return result


class Drifting(nn.Module):
    """A layer that adds a buffer of its state, which each training step changes."""

    drift: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Parameter(torch.randn(64, 8) / 8)
        self.register_buffer("drift", torch.zeros(8))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.drift.add_(1)
        return x @ self.linear + self.drift


class OddNetwork(nn.Module):
    """Modules that no list of layer types has."""

    def __init__(self) -> None:
        super().__init__()
        self.drifting = Drifting()
        self.norm = ScaledBatchNorm(8)
        self.middle = nn.Linear(8, 8)
        self.head = nn.Linear(8, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(torch.tanh(self.middle(self.norm(self.drifting(x.flatten(1))))))
        return logits


def odd_task(**options: object) -> Task:
    torch.manual_seed(0)
    source, target = OddNetwork().state_dict(), OddNetwork().state_dict()
    task = build_task(OddNetwork(), source, target)
    return dataclasses.replace(task, strategy=partial(**options))


def genes_of(network: nn.Module, missing: Sequence[str] = (), **options: object) -> GeneMap:
    source = {n: shape for n, shape in state_shapes(network).items() if n not in missing}
    return build_gene_map(network, source, GenomeOptions.model_validate(options))


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_frozen_tensors_stay_bit_for_bit_and_all_others_change(
    layout: LayoutName, freeze: dict[str, object], optimizer: str
) -> None:
    task = partial_task("resnet", optimizer=OPTIMIZERS[optimizer], **freeze)
    genomes = spread_masks(task.genes.n_genes, 4)
    before, after = trained(task, layout, genomes)
    for row, frozen in enumerate(freezing_of(task, genomes).frozen):
        same = {name for name in before if torch.equal(before[name][row], after[name][row])}
        assert same == frozen
    assert not any(tensor.requires_grad or tensor.grad is not None for tensor in after.values())


# Every pair of a freeze, an optimizer and a network.
@pytest.mark.parametrize(
    ("freeze_name", "network", "optimizer"),
    [
        (freeze_name, network, sorted(OPTIMIZERS)[(i + j) % 2])
        for i, freeze_name in enumerate(sorted(FREEZES))
        for j, network in enumerate(sorted(NETWORKS))
    ],
)
def test_fused_layouts_equal_the_loop(freeze_name: str, network: str, optimizer: str) -> None:
    task = partial_task(network, optimizer=OPTIMIZERS[optimizer], **FREEZES[freeze_name])
    asked = candidates(task, 5)
    expected = losses(task, "loop", asked)
    assert len(set(expected)) > 2
    for fused in FUSED:
        assert losses(task, fused, asked) == pytest.approx(expected, rel=1e-6), fused


def test_norms_with_own_arithmetic_and_other_buffers_are_frozen_too(
    freeze: dict[str, object],
) -> None:
    task = odd_task(**freeze)
    asked = candidates(task, 5)
    expected = losses(task, "loop", asked)
    genomes = [candidate.genome for candidate in asked]
    for fused in FUSED:
        assert losses(task, fused, asked) == pytest.approx(expected, rel=1e-6), fused
        before, after = trained(task, fused, genomes)
        for row, frozen in enumerate(freezing_of(task, genomes).frozen):
            same = {n for n in before if torch.equal(before[n][row], after[n][row])}
            assert same == frozen, fused


def test_what_neighbours_freeze_does_not_change_a_single_bit() -> None:
    task = partial_task("cnn_batch", freeze="transferred")
    measure = evaluator(task, VMAP)
    asked = candidates(task, 3)
    mixed = [(e.fitness, e.loss) for e in measure.evaluate(asked)]
    for candidate, measured in zip(asked, mixed, strict=True):
        # Padded with itself: all rows freeze the same.
        alone = measure.evaluate([candidate] * 4)
        assert [(e.fitness, e.loss) for e in alone] == [measured] * 4


def test_a_candidate_with_nothing_to_train_is_scored_as_grafted(layout: LayoutName) -> None:
    task = partial_task("resnet", freeze="transferred")
    transfer = transfer_all(task.genes.n_genes)
    grafted, tuned = (losses(task, layout, [Candidate(transfer, steps)]) for steps in (0, 3))
    assert len(tuned) == 1
    assert tuned == grafted
    beside = losses(
        task, layout, [Candidate(keep_all(task.genes.n_genes), 3), Candidate(transfer, 3)]
    )
    assert beside[1] == tuned[0]


def test_without_trainable_weights_buffers_that_are_not_frozen_still_change(
    layout: LayoutName,
) -> None:
    task = odd_task(freeze="transferred")
    task.network.requires_grad_(False)
    before, after = trained(task, layout, spread_masks(task.genes.n_genes, 4)[:2])
    changed = {name for name in before if not torch.equal(before[name][0], after[name][0])}
    assert changed == {
        "drifting.drift",
        *(f"norm.{name}" for name in ("running_mean", "running_var", "num_batches_tracked")),
    }
    assert all(torch.equal(before[name][1], after[name][1]) for name in before)


def test_what_all_candidates_freeze_gets_no_gradient(
    layout: LayoutName, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = partial_task("cnn_batch", freeze="all_but_last", last_genes=2)
    leaves: list[Tensor] = []
    build = build_training_optimizer

    def watched(
        config: TrainingOptimizerConfig, groups: Sequence[ParameterGroup]
    ) -> torch.optim.Optimizer:
        leaves.extend(leaf for group in groups for leaf in group["params"])
        return build(config, groups)

    monkeypatch.setattr(rated_optimizer, "build_training_optimizer", watched)
    _, after = trained(task, layout, [keep_all(task.genes.n_genes)])
    last = [name for gene in task.genes.genes[-2:] for name in gene.tensors]
    assert sorted(leaf.numel() for leaf in leaves) == sorted(after[name].numel() for name in last)


def test_a_frozen_prefix_is_left_out_of_the_graph() -> None:
    task = partial_task("cnn_batch", freeze="all_but_last", last_genes=2)
    needs_gradient = {}

    def watch(module: nn.Module, _: object, output: Tensor) -> None:
        needs_gradient[module] = output.requires_grad

    layers = [task.network.get_submodule(name) for name in ("conv6", "linear1", "linear2")]
    for layer in layers:
        layer.register_forward_hook(watch)
    trained(task, "loop", [keep_all(task.genes.n_genes)])
    assert [needs_gradient[layer] for layer in layers] == [False, False, True]
    assert all(weight.grad is None for weight in layers[0].parameters())


def test_channels_are_gated_one_by_one() -> None:
    torch.manual_seed(0)
    x = torch.randn(6, 4, 5, 5, dtype=torch.float64, requires_grad=True)
    mean, var, weight, bias = torch.rand(4, 4, dtype=torch.float64)
    frozen = torch.tensor([True, False, False, True])
    new_mean, new_var = mean.clone(), var.clone()
    result = gated_batch_norm(
        x, new_mean, new_var, weight=weight, bias=bias, frozen=frozen, momentum=0.1, eps=1e-5
    )
    moved = mean.clone(), var.clone()
    by_batch = batch_norm(x, *moved, weight, bias, True, 0.1, 1e-5)
    by_statistics = batch_norm(x, mean, var, weight, bias, False, 0.1, 1e-5)
    for channel, is_frozen in enumerate(frozen.tolist()):
        expected = by_statistics if is_frozen else by_batch
        assert torch.equal(result[:, channel], expected[:, channel])
        for new, old, updated in zip((new_mean, new_var), (mean, var), moved, strict=True):
            assert new[channel] == (old if is_frozen else updated)[channel]
    gradient, expected_gradient = (
        torch.autograd.grad(y.square().sum(), x)[0][:, 1:3] for y in (result, by_batch)
    )
    torch.testing.assert_close(gradient, expected_gradient)


def test_gates_keep_the_names_of_tensors_and_are_taken_away_afterwards() -> None:
    network = build_network(*NETWORKS["resnet"])
    norm, names = network.get_submodule("stem_norm"), list(network.state_dict())
    before = set(vars(norm))
    with gates(network, {"stem_norm": (True, False)}, torch.device("cpu")) as flags:
        assert list(network.state_dict()) == names
        assert set(flags) == {"stem_norm.is_frozen"}
        assert "forward" in vars(norm)
    assert set(vars(norm)) == before
    assert "is_frozen" not in norm._buffers


@pytest.mark.parametrize(
    ("options", "frozen"),
    [
        ({"freeze": "transferred"}, {"linear1.weight", "linear2.bias"}),
        ({"freeze": "kept"}, {"linear3.weight", "linear4.bias"}),
        ({"freeze": "all_but_last", "last_genes": 1}, {"linear1.weight", "linear2.bias"}),
    ],
)
def test_genes_and_pins_of_one_side_are_frozen_but_not_what_the_source_lacks(
    options: dict[str, object], frozen: set[str]
) -> None:
    genes = genes_of(
        build_network("mlp", {"hidden": [8, 8, 8]}),
        missing=["linear1.bias", "linear2.weight", "linear3.bias", "linear4.weight"],
        transfer=["linear1.weight"],
        keep=["linear4.bias"],
    )
    # Genes left: the bias of layer 2, and the weight of layer 3.
    assert partial(**options).frozen(genes, Genome((False, True))) == frozen


def test_tensors_that_own_groups_leave_out_count_as_kept() -> None:
    groups = {"first": ["linear1.*"]}
    network = build_network("mlp", {"hidden": [8]})
    genes = genes_of(network, granularity="groups", groups=groups)
    frozen = partial(freeze="kept").frozen(genes, Genome((False,)))
    assert frozen == {"linear2.weight", "linear2.bias"}


def test_as_many_last_genes_as_there_are_train_all_and_more_are_refused() -> None:
    genes = genes_of(build_network("mlp", {"hidden": [8, 8]}))
    strategy = partial(freeze="all_but_last", last_genes=3)
    strategy.config.check(genes)
    assert strategy.frozen(genes, keep_all(3)) == frozenset()
    with pytest.raises(InvalidInputError, match=r"finetune\.last_genes: 4 given.* 3 genes"):
        partial(freeze="all_but_last", last_genes=4).config.check(genes)


@pytest.mark.parametrize(
    ("options", "values"),
    [
        ({"freeze": "all_but_last"}, r"\(None\).*all_but_last"),
        ({"freeze": "kept", "last_genes": 2}, r"\(2\).*kept"),
    ],
)
def test_last_genes_come_exactly_with_all_but_last(options: dict[str, object], values: str) -> None:
    with pytest.raises(ValidationError, match=values):
        PartialConfig.model_validate(options)
