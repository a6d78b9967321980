"""Tests of fine-tuning against the same training written by hand in plain torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler

from models.checkpoints import State
from models.evaluator import Task
from models.population import LayoutName
from models.randomness import seeded_torch
from models.recipe import fine_tuning
from models.recipe.minibatches import draw_minibatches
from search.genome import Genome
from tests.models.recipe_cases import (
    LAYOUTS,
    RATE,
    Perceptron,
    SmallConvolution,
    grafted,
    masks,
    network_of,
    one_thread,
    recipe_task,
    tuned,
)
from tests.models.small_task import CPU, LOOP, evaluator

STEPS = 6
OPTIMIZERS: dict[str, tuple[dict[str, object], Callable[..., torch.optim.Optimizer]]] = {
    "adam": ({"kind": "adam", "weight_decay": 0.2}, torch.optim.Adam),
    "adamw": ({"kind": "adamw", "weight_decay": 0.2}, torch.optim.AdamW),
    "rmsprop": ({"kind": "rmsprop", "weight_decay": 0.2, "momentum": 0.5}, torch.optim.RMSprop),
    "sgd": ({"kind": "sgd", "weight_decay": 0.2, "momentum": 0.9}, torch.optim.SGD),
}


@pytest.fixture(params=LAYOUTS)
def layout(request: pytest.FixtureRequest) -> LayoutName:
    value: LayoutName = request.param
    return value


def adam(parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=RATE)


def by_hand(
    task: Task,
    genome: Genome,
    network: nn.Module,
    optimizer: Callable[[nn.Module], torch.optim.Optimizer],
    *,
    penalty: Callable[[nn.Module], Tensor | float] = lambda _: 0.0,
    bound: float | None = None,
    schedule: Callable[[torch.optim.Optimizer], LRScheduler] | None = None,
) -> State:
    """Train one candidate in an ordinary loop."""
    network_of(task, genome, network)
    stepper = optimizer(network)
    scheduler = None if schedule is None else schedule(stepper)
    train = task.data.to(CPU, torch.float64).train
    drawn = draw_minibatches(len(train), STEPS, 8, task.seed, 0)
    with one_thread(), seeded_torch(task.seed, "layers", 0):
        for indices in drawn:
            minibatch = train.take(indices)
            stepper.zero_grad()
            loss = cross_entropy(network(**minibatch.inputs), minibatch.labels) + penalty(network)
            loss.backward()
            if bound is not None:
                trained = [weight for weight in network.parameters() if weight.requires_grad]
                clip_grad_norm_(trained, bound)
            stepper.step()
            if scheduler is not None:
                scheduler.step()
    for weight in network.parameters():
        weight.requires_grad_(False)
    return network.state_dict()


def assert_rows_equal(state: State, rows: Sequence[State]) -> None:
    for number, expected in enumerate(rows):
        torch.testing.assert_close({name: x[number] for name, x in state.items()}, expected)


@pytest.mark.parametrize("network", [Perceptron, SmallConvolution])
def test_pulls_are_penalties_in_the_loss(layout: LayoutName, network: type[nn.Module]) -> None:
    # With momentum: what an optimizer remembers must have the penalty in it too.
    optimizer = {"kind": "sgd", "momentum": 0.9}
    task = recipe_task(network, l1=0.02, l2_sp=0.7, optimizer=optimizer)
    starts = grafted(task, masks(task))

    def penalty_of(row: int) -> Callable[[nn.Module], Tensor]:
        def penalty(trained: nn.Module) -> Tensor:
            terms = [
                0.02 * weight.abs().sum() + 0.7 / 2 * (weight - starts[name][row]).square().sum()
                for name, weight in trained.named_parameters()
            ]
            return torch.stack(terms).sum()

        return penalty

    rows = [
        by_hand(
            task,
            genome,
            network(),
            lambda n: torch.optim.SGD(n.parameters(), lr=RATE, momentum=0.9),
            penalty=penalty_of(row),
        )
        for row, genome in enumerate(masks(task))
    ]
    assert_rows_equal(tuned(task, layout, masks(task), steps=STEPS), rows)


@pytest.mark.parametrize("freeze", ["nothing", "transferred"])
def test_the_bound_on_the_gradient_is_torchs_for_each_candidate_and_what_it_trains(
    layout: LayoutName, freeze: str
) -> None:
    bound, rate = 0.3, 0.5
    recipe = {"kind": "partial", "freeze": freeze, "optimizer": {"kind": "sgd"}}
    task = recipe_task(Perceptron, **recipe, gradient_norm=bound)
    objective = task.strategy.stages[0].objective

    def trained_by_hand(genome: Genome) -> State:
        network, frozen = Perceptron(), objective.frozen(task.genes, genome)
        for name, weight in network.named_parameters():
            weight.requires_grad_(name not in frozen)
        return by_hand(
            task,
            genome,
            network,
            lambda n: torch.optim.SGD(n.parameters(), lr=rate),
            bound=bound,
        )

    genomes, rates = masks(task), [rate] * 4
    state = tuned(task, layout, genomes, rates, steps=STEPS)
    assert_rows_equal(state, [trained_by_hand(genome) for genome in genomes])
    unbounded = tuned(recipe_task(Perceptron, **recipe), layout, genomes, rates, steps=STEPS)
    for row in range(4):
        assert not torch.equal(unbounded["first.weight"][row], state["first.weight"][row])


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_rates_by_origin_are_torchs_parameter_groups(layout: LayoutName, name: str) -> None:
    options, kind = OPTIMIZERS[name]
    task = recipe_task(
        Perceptron,
        kind="partial",
        freeze="nothing",
        kept_rate=3,
        transferred_rate=0.1,
        optimizer=options,
    )
    extra = {key: value for key, value in options.items() if key != "kind"}

    def optimizer_of(genome: Genome) -> Callable[[nn.Module], torch.optim.Optimizer]:
        def optimizer(network: nn.Module) -> torch.optim.Optimizer:
            weights = dict(network.named_parameters())
            groups = [
                {"params": [weights[n] for n in gene.tensors], "lr": RATE * (3 if keep else 0.1)}
                for gene, keep in zip(task.genes.genes, genome.keeps, strict=True)
            ]
            return kind(groups, **extra)

        return optimizer

    rows = [by_hand(task, genome, Perceptron(), optimizer_of(genome)) for genome in masks(task)]
    assert_rows_equal(tuned(task, layout, masks(task), steps=STEPS), rows)


def test_a_schedule_is_torchs(layout: LayoutName) -> None:
    task = recipe_task(Perceptron, schedule={"kind": "cosine", "final": 0.1})
    rows = [
        by_hand(
            task,
            genome,
            Perceptron(),
            lambda n: adam(n.parameters()),
            schedule=lambda o: CosineAnnealingLR(o, T_max=STEPS, eta_min=0.1 * RATE),
        )
        for genome in masks(task)
    ]
    assert_rows_equal(tuned(task, layout, masks(task), steps=STEPS), rows)


def test_rows_have_rates_of_their_own(layout: LayoutName) -> None:
    task = recipe_task(Perceptron, optimizer={"kind": "adamw", "weight_decay": 0.5})
    genomes, rates = [masks(task)[2]] * 3, [0.1, 0.001, 0.02]
    rows = [
        by_hand(
            task,
            genomes[0],
            Perceptron(),
            lambda n, rate=rate: torch.optim.AdamW(n.parameters(), lr=rate, weight_decay=0.5),  # type: ignore[misc]
        )
        for rate in rates
    ]
    assert_rows_equal(tuned(task, layout, genomes, rates, steps=STEPS), rows)


def test_a_dropout_of_the_recipe_is_that_of_a_network_built_with_it(layout: LayoutName) -> None:
    task = recipe_task(SmallConvolution, dropout=0.6)

    def built() -> nn.Module:
        network = SmallConvolution()
        network.dropout.p = 0.6
        return network

    rows = [
        by_hand(task, genome, built(), lambda n: adam(n.parameters())) for genome in masks(task)
    ]
    assert_rows_equal(tuned(task, layout, masks(task), steps=STEPS), rows)


def test_statistics_measured_before_are_those_of_the_whole_training_part(
    layout: LayoutName,
) -> None:
    task = recipe_task(SmallConvolution, batch_norm={"reestimate": "before", "frozen": True})
    train = task.data.to(CPU, torch.float64).train
    state = tuned(task, layout, masks(task), steps=STEPS)
    for row, genome in enumerate(masks(task)):
        network = network_of(task, genome, SmallConvolution())
        hidden = network.get_submodule("first")(train.inputs["x"])
        expected = {
            "first_norm.running_mean": hidden.mean((0, 2, 3)),
            "first_norm.running_var": hidden.var((0, 2, 3)),
        }
        # Measured once, and then frozen.
        assert state["first_norm.num_batches_tracked"][row] == 1
        torch.testing.assert_close({n: state[n][row] for n in expected}, expected)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("is_frozen", [False, True])
def test_what_a_strategy_freezes_keeps_its_statistics(
    layout: LayoutName, moment: str, is_frozen: bool
) -> None:
    options = {"reestimate": moment, "frozen": is_frozen}
    task = recipe_task(SmallConvolution, kind="partial", freeze="transferred", batch_norm=options)
    state, objective = tuned(task, layout, masks(task), steps=2), task.strategy.stages[0].objective
    source = task.source["second_norm.running_mean"].double()
    kept_as_is = [
        "second_norm.running_mean" in objective.frozen(task.genes, genome) for genome in masks(task)
    ]
    assert len(set(kept_as_is)) == 2
    for row, is_kept in enumerate(kept_as_is):
        assert torch.equal(state["second_norm.running_mean"][row], source) == is_kept


def test_statistics_of_a_large_training_part_are_the_mean_over_its_minibatches(
    layout: LayoutName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fine_tuning, "STATISTICS_BATCH", 9)
    task = recipe_task(SmallConvolution, batch_norm={"reestimate": "after"}, dropout=0.0)
    train = task.data.to(CPU, torch.float64).train
    plain = tuned(recipe_task(SmallConvolution, dropout=0.0), layout, masks(task), steps=STEPS)
    state = tuned(task, layout, masks(task), steps=STEPS)
    for row in range(4):
        network = SmallConvolution().double().train()
        network.load_state_dict({name: x[row] for name, x in plain.items()})
        network.dropout.p = 0.0
        for norm in (network.first_norm, network.second_norm):
            norm.reset_running_stats()
            norm.momentum = None
        # 24 samples in minibatches of at most 9: three of 8.
        for indices in draw_minibatches(24, 3, 8, task.seed, "statistics", 0):
            network(**train.take(indices).inputs)
        counters = {f"{name}.num_batches_tracked" for name in ("first_norm", "second_norm")}
        expected = {n: x for n, x in network.state_dict().items() if n not in counters}
        torch.testing.assert_close({n: state[n][row] for n in expected}, expected)


def test_measuring_statistics_changes_no_draw_of_the_training(layout: LayoutName) -> None:
    # Statistics are frozen and normalise nothing while training, so that only draws could differ.
    trained = [
        tuned(
            recipe_task(SmallConvolution, dropout=0.5, batch_norm={"reestimate": when}),
            layout,
            masks(recipe_task(SmallConvolution)),
        )
        for when in ("never", "before")
    ]
    for name in ("first.weight", "head.weight"):
        assert torch.equal(trained[0][name], trained[1][name])


def test_a_tensor_that_a_stage_has_changed_is_not_taken_for_equal_in_the_next() -> None:
    recipes = [
        {"kind": "full", "batch_size": 8},
        {"kind": "partial", "freeze": "all_but_last", "last_genes": 1, "batch_size": 8},
    ]
    task = recipe_task(Perceptron, kind="phases", phases=recipes)
    same_layers = [Genome((True, True, keep)) for keep in (True, False, True, False)]
    stacked, loop = (tuned(task, kind, same_layers, steps=8) for kind in ("stacked", "loop"))
    assert not torch.equal(loop["first.weight"][0], loop["first.weight"][1])
    torch.testing.assert_close(stacked, loop)


def test_stages_begin_with_a_fresh_optimizer_and_keep_the_ratio_of_their_rates() -> None:
    shared: dict[str, object] = {
        "kind": "full",
        "batch_size": 8,
        "schedule": {"kind": "constant"},
    }
    recipes = [
        {**shared, "steps": 30, "learning_rate": 0.02},
        {**shared, "steps": 10, "learning_rate": 0.1},
    ]
    task = recipe_task(Perceptron, kind="phases", phases=recipes)
    genome = masks(task)[2]
    # A quarter of the steps are the second phase's, at five times the rate that is asked for.
    state = tuned(task, "loop", [genome], [0.03], steps=8)
    network = network_of(task, genome, Perceptron())
    train = task.data.to(CPU, torch.float64).train
    for rate, drawn in (
        (0.03, draw_minibatches(24, 6, 8, task.seed, 0)),
        (0.15, draw_minibatches(24, 2, 8, task.seed, 0, 1)),
    ):
        optimizer = torch.optim.Adam(network.parameters(), lr=rate)
        for indices in drawn:
            minibatch = train.take(indices)
            optimizer.zero_grad()
            cross_entropy(network(**minibatch.inputs), minibatch.labels).backward()
            optimizer.step()
    assert_rows_equal(state, [network.state_dict()])


def test_timing_leaves_out_what_is_done_once(monkeypatch: pytest.MonkeyPatch) -> None:
    task = recipe_task(SmallConvolution, batch_norm={"reestimate": "after"})
    measured = []
    monkeypatch.setattr(
        fine_tuning.FineTuner, "_reestimate", lambda *_: measured.append("statistics")
    )
    for only_steps in (True, False):
        evaluator(task, LOOP).rehearse(2, only_steps=only_steps)
        assert len(measured) == (not only_steps)
