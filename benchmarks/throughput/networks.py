"""The networks that throughput is measured on, their data, and the arithmetic that they need."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from models.data.dataset import Examples
from models.data.shapes import DataShape
from models.data.splits import TaskData
from models.evaluator import Task
from models.families import FAMILIES
from models.family import build_family
from models.finetuning.full import FullConfig
from models.fixed_target import FixedTarget
from models.genes import GenomeOptions, build_gene_map
from models.randomness import generator, seeded_torch
from models.recipe.strategy import build_strategy
from models.surroundings import NOTHING
from models.weights_source import state_shapes
from search.evaluation import Candidate
from search.genome import Genome

N_CLASSES, BATCH, LEARNING_RATE = 10, 32, 0.001
# What the plain loop does too.
RECIPE = {
    "batch_size": BATCH,
    "learning_rate": LEARNING_RATE,
    "schedule": {"kind": "constant"},
}
N_TRAIN, N_VALIDATION = 256, 256
# How far the classes' means lie apart, in standard deviations of a feature: accuracies stay well between chance and 1.
SIGNAL = 0.3


@dataclass(frozen=True, slots=True)
class BenchmarkNetwork:
    """A network at a data shape; ``steps`` per evaluation make a round of all candidates take seconds."""

    kind: str
    options: Mapping[str, object]
    sample: tuple[int, ...]
    steps: int


NETWORKS = {
    "mlp": BenchmarkNetwork("mlp", {"hidden": (96, 96, 96, 96)}, (64,), 40),
    "cnn 8x8": BenchmarkNetwork("small_cnn", {}, (1, 8, 8), 40),
    "cnn 16x16": BenchmarkNetwork("small_cnn", {}, (1, 16, 16), 10),
    "cnn 28x28": BenchmarkNetwork("small_cnn", {}, (1, 28, 28), 5),
    "resnet20 32x32": BenchmarkNetwork("resnet_cifar", {"depth": 20}, (3, 32, 32), 2),
    "transformer": BenchmarkNetwork("transformer_encoder", {}, (16, 32), 8),
}


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Floating-point operations of products and convolutions; a multiplication with its addition counts two.

    Attributes:
        training_step: Forward and backward pass of one candidate on one minibatch.
        scoring: Forward pass of one candidate over the validation part.
    """

    training_step: int
    scoring: int


def build_task(name: str) -> Task:
    """Draw source, target and data of one network; the same in every process."""
    chosen = NETWORKS[name]
    shape = DataShape({"x": chosen.sample}, N_CLASSES)
    family = build_family(FAMILIES.config(chosen.kind).model_validate(chosen.options), NOTHING)
    with seeded_torch(0, "source"):
        source = family.build(shape).state_dict()
    with seeded_torch(0, "target"):
        network = family.build(shape)
    class_names = tuple(str(number) for number in range(N_CLASSES))
    return Task(
        network=network,
        genes=build_gene_map(network, state_shapes(network), GenomeOptions()),
        source=source,
        target=FixedTarget(copy.deepcopy(network.state_dict())),
        data=TaskData(
            _examples(chosen.sample, N_TRAIN, "train"),
            _examples(chosen.sample, N_VALIDATION, "validation"),
            _examples(chosen.sample, N_CLASSES, "test"),
            class_names,
        ),
        strategy=build_strategy(FullConfig.model_validate(RECIPE)),
        metric="accuracy",
        seed=0,
    )


def draw_candidates(task: Task, count: int, steps: int) -> list[Candidate]:
    """Draw masks; fewer are the first of more."""
    bits = np.random.default_rng(0).random((count, task.genes.n_genes)) < 0.5
    return [Candidate(Genome.from_bits(row), steps) for row in bits]


def count_arithmetic(task: Task) -> Arithmetic:
    """Count on the task's own data; attention is counted as the products that it consists of."""
    network = copy.deepcopy(task.network)
    minibatch = task.data.train.take(torch.arange(BATCH))
    with sdpa_kernel(SDPBackend.MATH):
        with FlopCounterMode(display=False) as training:
            cross_entropy(network(**minibatch.inputs), minibatch.labels).backward()
        with torch.no_grad(), FlopCounterMode(display=False) as scoring:
            network(**task.data.validation.inputs)
    return Arithmetic(training.get_total_flops(), scoring.get_total_flops())


def _examples(sample: tuple[int, ...], count: int, part: str) -> Examples:
    """Noise around one random mean per class."""
    means = torch.randn(N_CLASSES, *sample, generator=generator(0, "means"))
    stream = generator(0, part)
    labels = torch.randint(N_CLASSES, (count,), generator=stream)
    noise = torch.randn(count, *sample, generator=stream)
    return Examples({"x": noise + SIGNAL * means[labels]}, labels)
