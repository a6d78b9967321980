"""Tasks for tests of recipes: small networks, any options, and what plain torch makes of one candidate."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from models.checkpoints import State
from models.evaluator import Task
from models.finetuning import STRATEGIES
from models.graft import graft_population
from models.placement import placed_network
from models.plans.plan import Plan
from models.population import LayoutName, build_layout
from models.recipe.fine_tuning import FineTuner, Rows
from models.recipe.strategy import TrainingOptions, build_strategy
from models.recipe.teachers import with_teachers
from search.evaluation import Arm, Candidate, Evaluation
from search.genome import Genome
from tests.models.small_task import CPU, N_CLASSES, build_task, evaluator

LAYOUTS: tuple[LayoutName, ...] = get_args(LayoutName)
FUSED: tuple[LayoutName, ...] = tuple(layout for layout in LAYOUTS if layout != "loop")
RATE = 0.01
# A constant rate, as a plain loop in torch has.
SHARED: dict[str, object] = {
    "batch_size": 8,
    "learning_rate": RATE,
    "schedule": {"kind": "constant"},
}


class SmallConvolution(nn.Module):
    """Convolutions with two kinds of batch normalisation, and dropout.

    Without biases before the normalisations: their gradients are nothing but rounding, which Adam blows up.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 3, 3, stride=2, bias=False)
        self.first_norm = nn.BatchNorm2d(3)
        self.dropout = nn.Dropout(0.2)
        self.second = nn.Conv2d(3, 4, 3, bias=False)
        self.second_norm = nn.BatchNorm2d(4, affine=False)
        self.head = nn.Linear(4, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.dropout(torch.relu(self.first_norm(self.first(x))))
        hidden = torch.relu(self.second_norm(self.second(hidden)))
        logits: Tensor = self.head(self.dropout(hidden.flatten(1)))
        return logits


class Perceptron(nn.Module):
    """Layers without buffers and without draws; diverges where the rate is too high, for nothing saturates."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(64, 6)
        self.second = nn.Linear(6, 5)
        self.head = nn.Linear(5, N_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        hidden = leaky_relu(self.second(leaky_relu(self.first(x.flatten(1)))))
        logits: Tensor = self.head(hidden)
        return logits


def parsed(options: dict[str, object]) -> TrainingOptions:
    """Options of any strategy, full fine-tuning if none is named; recipes with the shared ones below their own."""
    kind = str(options.get("kind", "full"))
    if kind != "phases":
        options = {**SHARED, **options}
    return STRATEGIES.config(kind).model_validate({**options, "kind": kind})  # type: ignore[return-value]


def recipe_task(network: type[nn.Module] = SmallConvolution, **options: object) -> Task:
    """Bind two freshly drawn networks and a recipe, with its teachers."""
    torch.manual_seed(3)
    source, target = network().state_dict(), network().state_dict()
    return with_options(build_task(network(), source, target), **options)


def with_options(task: Task, **options: object) -> Task:
    """The task with another recipe."""
    return with_teachers(dataclasses.replace(task, strategy=build_strategy(parsed(options))))


def masks(task: Task) -> list[Genome]:
    """Four masks that all keep the first gene, so that what comes from it may be shared."""
    others = range(task.genes.n_genes - 1)
    patterns = ((True, True), (False, False), (True, False), (False, True))
    return [
        Genome((True, *(even if i % 2 == 0 else odd for i in others))) for even, odd in patterns
    ]


def asked(task: Task, steps: int, arm: Arm | None = None) -> list[Candidate]:
    """One chunk of different candidates."""
    return [Candidate(genome, steps, arm=arm or Arm()) for genome in masks(task)]


def measured(
    task: Task, layout: LayoutName, chunk: Sequence[Candidate], dtype: str = "float64"
) -> list[Evaluation]:
    """Measure one chunk; the loop takes it one by one."""
    is_loop = layout == "loop"
    plan = {"layout": layout, "chunks": (1,) if is_loop else (1, 4), "dtype": dtype, "threads": 1}
    measure = evaluator(task, Plan.model_validate(plan))
    parts = [[one] for one in chunk] if is_loop else [chunk]
    return [evaluation for part in parts for evaluation in measure.evaluate(part)]


def tuned(
    task: Task,
    layout: LayoutName,
    genomes: Sequence[Genome],
    rates: Sequence[float] = (),
    *,
    steps: int = 5,
    replicate: int = 0,
    captured: bool = False,
) -> State:
    """The weights of a chunk after its training, ``(P, *shape)`` in double precision."""
    state = grafted(task, genomes)
    tuner = FineTuner(
        task.network,
        task.genes,
        task.data.to(CPU, torch.float64),
        task.strategy,
        task.seed,
        task.teachers,
    )
    rows = Rows(tuple(genomes), tuple(rates) or (RATE,) * len(genomes))
    network = placed_network(task.network, CPU, torch.float64)
    with one_thread():
        tuner.train(
            build_layout(layout, network, captured=captured),
            state,
            rows,
            steps=steps,
            replicates=replicate,
        )
    return state


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute in one thread: for networks this small, several only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def grafted(task: Task, genomes: Sequence[Genome]) -> State:
    """The weights of a chunk before its training, ``(P, *shape)`` in double precision."""
    target, source = (doubled(state) for state in (task.target(0), task.source))
    return graft_population(
        target, source, task.genes, torch.tensor([genome.keeps for genome in genomes])
    )


def doubled(state: State) -> State:
    """In double precision; counters stay as they are."""
    return {n: x.double() if x.is_floating_point() else x.clone() for n, x in state.items()}


def network_of(task: Task, genome: Genome, network: nn.Module) -> nn.Module:
    """A network in double precision and training mode with the weights of one grafted candidate."""
    network = network.double().train()
    network.load_state_dict({name: x[0] for name, x in grafted(task, [genome]).items()})
    return network
