"""Small real tasks: a network of a few neurons, samples that can be learnt, everything seeded."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from models.checkpoints import State
from models.data.dataset import Examples
from models.data.shapes import DataShape
from models.data.splits import TaskData
from models.evaluator import GraftEvaluator, Task
from models.families import FAMILIES
from models.final_artifacts import FinalArtifacts
from models.finetuning.full import FullConfig, FullFineTuning
from models.genes import GenomeOptions, build_gene_map
from models.layout import Recipe
from models.plans.plan import Plan
from models.randomness import generator, seeded_torch
from models.recipe.freezing import Freezing
from models.recipe.strategy import build_strategy
from models.surroundings import NOTHING
from models.weights_source import state_shapes
from search.evaluation import Candidate
from search.genome import Genome

N_CLASSES = 3
IMAGES = DataShape({"x": (1, 8, 8)}, N_CLASSES)
LOOP = Plan(layout="loop", threads=1)
VMAP = Plan(layout="vmap", chunks=(1, 4), threads=1)
CPU = torch.device("cpu")


def build_network(kind: str, options: dict[str, object], seed: int = 0) -> nn.Module:
    """Build a network of a registered family for ``IMAGES``."""
    config = FAMILIES.config(kind).model_validate({"kind": kind, **options})
    with seeded_torch(seed):
        return FAMILIES.plugin(kind)(config, NOTHING).build(IMAGES)  # type: ignore[call-arg]


def examples(n_samples: int, shape: DataShape = IMAGES, purpose: str = "train") -> Examples:
    """Draw samples whose class is their brightness."""
    stream = generator(0, purpose)
    labels = torch.arange(n_samples) % shape.n_classes
    x = torch.randn(n_samples, *shape.inputs["x"], generator=stream)
    brightness = labels.view(-1, *[1] * (x.ndim - 1)).to(x.dtype)
    return Examples({"x": x + brightness}, labels)


def task_data(shape: DataShape = IMAGES) -> TaskData:
    """Draw 24 training, 31 validation and 13 test samples."""
    names = tuple(str(number) for number in range(shape.n_classes))
    return TaskData(
        examples(24, shape, "train"),
        examples(31, shape, "validation"),
        examples(13, shape, "test"),
        names,
    )


def build_task(network: nn.Module, source: State, target: State, **training: object) -> Task:
    """Bind two states of one architecture to the small data."""
    options = {"batch_size": 8, **training}
    return Task(
        network=network,
        genes=build_gene_map(network, state_shapes(network), GenomeOptions()),
        source=source,
        target=lambda _: target,
        data=task_data(),
        strategy=build_strategy(FullConfig.model_validate(options)),
        metric="accuracy",
        seed=5,
    )


def family_task(kind: str, options: dict[str, object], **training: object) -> Task:
    """Bind two freshly drawn networks of a registered family."""
    source, target = (build_network(kind, options, seed).state_dict() for seed in (1, 2))
    return build_task(build_network(kind, options), source, target, **training)


def plain_recipe(freezing: Freezing, rate: float = 0.01) -> Recipe:
    """Full fine-tuning of every candidate at one constant rate."""
    n_candidates = len(freezing.frozen)
    config = FullConfig.model_validate({"schedule": {"kind": "constant"}})
    return Recipe(FullFineTuning(config), (rate,) * n_candidates, freezing)


def evaluator(
    task: Task, plan: Plan, artifacts: FinalArtifacts | None = None, device: torch.device = CPU
) -> GraftEvaluator:
    """Bring a task to a device."""
    return GraftEvaluator(task, plan, device, artifacts)


def spread_masks(n_genes: int, count: int) -> list[Genome]:
    """Keep-all, transfer-all, and masks drawn between them."""
    stream = generator(0, "masks")
    drawn = (torch.rand(count, n_genes, generator=stream) < 0.5).tolist()
    return [
        Genome((True,) * n_genes),
        Genome((False,) * n_genes),
        *(Genome(tuple(bits)) for bits in drawn[2:]),
    ]


def candidates(
    task: Task, fidelity: int, count: int = 4, replicate: int = 0
) -> Sequence[Candidate]:
    """Ask for a chunk of different masks."""
    masks = spread_masks(task.genes.n_genes, count)
    return [Candidate(mask, fidelity, replicate) for mask in masks]
