"""Wiring: from a spec to networks, data, genes, plan, evaluator and optimizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from pydantic import Field

from models.application import check_applies
from models.checkpoints import State
from models.checkpoints.report import CheckpointReport
from models.data.dataset import Dataset
from models.data.shapes import DataShape
from models.data.splits import PartSizes, TaskData, load_task, part_sizes
from models.devices import available_cores, pick_device
from models.evaluator import GraftEvaluator, Task
from models.family import ModelFamily, build_family, open_data
from models.final_artifacts import FinalArtifacts
from models.genes import GeneMap, build_gene_map
from models.placement import without_weights
from models.plans.memory_need import MemoryNeed
from models.plans.plan import Plan
from models.randomness import derive_seed, seeded_torch
from models.recipe.checks import check_recipe
from models.recipe.strategy import build_strategy
from models.recipe.teachers import with_teachers
from models.scoring.retention import Retention
from models.surroundings import Surroundings
from models.weights.init import InitConfig
from models.weights_source import WeightsContext, WeightsSource, checkpoint_reports, open_weights
from models.workers.pool import PooledEvaluator
from search.decisions import DecisionLog
from search.errors import InvalidInputError
from search.optimizer import SearchProblem
from service.cost import (
    CostEstimate,
    check_device,
    check_machine,
    estimate_cost,
    estimate_time,
    memory_need,
    planned_work,
    untrained_share,
)
from service.model_folder import ModelPackage
from service.planning import (
    Workers,
    build_evaluator,
    commit_to_plan,
    keeping_artifacts,
    mixes_replicates,
)
from service.priors import commit_to_priors
from service.result import Document
from service.source_task import check_source_task, read_retention
from service.spec import SearchOptions, SearchSpec

ARTIFACTS_FOLDER = "final"


class GeneEntry(Document):
    """One gene of the gene table."""

    name: str
    tensors: tuple[str, ...]
    parameters: int


class GeneTable(Document):
    """What a mask decides, and what finding out will cost: genes in order, tensors that are no genes with the reason.

    ``checkpoints`` tells, for a source and a target that come from one, what became of its tensors.
    """

    n_genes: int
    genes: tuple[GeneEntry, ...]
    kept: dict[str, str]
    transferred: dict[str, str]
    checkpoints: dict[str, CheckpointReport] = Field(default_factory=dict)
    estimate: CostEstimate | None = None


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What is known of a search before any data are read or any network is trained."""

    family: ModelFamily
    dataset: Dataset
    shape: DataShape
    sizes: PartSizes
    context: WeightsContext
    source: WeightsSource
    target: WeightsSource
    genes: GeneMap
    problem: SearchProblem

    def gene_table(self) -> GeneTable:
        """The gene map as a document."""
        return GeneTable(
            n_genes=self.genes.n_genes,
            genes=tuple(
                GeneEntry(name=g.name, tensors=g.tensors, parameters=g.parameters)
                for g in self.genes.genes
            ),
            kept={fixed.name: fixed.reason for fixed in self.genes.kept},
            transferred={fixed.name: fixed.reason for fixed in self.genes.transferred},
            checkpoints=self.checkpoints(),
        )

    def checkpoints(self) -> dict[str, CheckpointReport]:
        """What became of the tensors of checkpoints, by the field that names them."""
        return checkpoint_reports(source=self.source, target=self.target)

    def memory_need(self, options: SearchOptions) -> MemoryNeed:
        """What training one candidate needs, and no less."""
        return memory_need(self.context.meta_network(), self.genes, options)


@dataclass(frozen=True, slots=True)
class Workbench:
    """Everything that measuring needs.

    ``final_evaluator`` also scores the test part and keeps weights, in ``artifacts``.  With a plan of several processes
    these run from the start until ``close``.
    ``refusals`` tells why other plans were not taken, ``checkpoints`` what became of the tensors of source and target.
    ``package`` makes the delivered weights a folder that the architecture's own library loads, where it has one.
    """

    task: Task
    problem: SearchProblem
    plan: Plan
    refusals: Mapping[str, str]
    device: torch.device
    evaluator: GraftEvaluator | PooledEvaluator
    final_evaluator: GraftEvaluator | PooledEvaluator
    artifacts: FinalArtifacts
    workers: Workers
    checkpoints: Mapping[str, CheckpointReport] = field(default_factory=dict)
    package: ModelPackage | None = None

    def close(self) -> None:
        """End the worker processes, if there are any."""
        self.workers.close()


def check_spec(spec: SearchSpec, surroundings: Surroundings) -> GeneTable:
    """Validate all that needs no data and no training.

    Raises:
        InvalidInputError: Names the field, what came and what was expected.
    """
    blueprint, cost = _checked(spec, surroundings)
    return blueprint.gene_table().model_copy(update={"estimate": cost})


def describe_spec(spec: SearchSpec, surroundings: Surroundings) -> GeneTable:
    """Validate as ``check_spec`` does, and guess how long the search takes: several times the work of validating.

    Raises:
        InvalidInputError: As ``check_spec``.
    """
    blueprint, cost = _checked(spec, surroundings)
    work = planned_work(spec, blueprint.problem, blueprint.sizes.validation)
    time = estimate_time(blueprint.context.meta_network(), blueprint.shape, work)
    cost = cost.model_copy(update={"time": time})
    return blueprint.gene_table().model_copy(update={"estimate": cost})


def _checked(spec: SearchSpec, surroundings: Surroundings) -> tuple[Blueprint, CostEstimate]:
    blueprint = draw_up(spec, surroundings)
    need = blueprint.memory_need(spec)
    check_machine(need)
    spec.optimizer.check(blueprint.problem)
    check_recipe(
        spec.finetune,
        genes=blueprint.genes,
        network=blueprint.context.meta_network(),
        shape=blueprint.shape,
        source=blueprint.source.shapes(),
    )
    spec.fitness.check(blueprint.shape.n_classes)
    check_source_task(spec, surroundings, blueprint.shape)
    if isinstance(spec.source, InitConfig) and spec.source.redraw:
        raise InvalidInputError("source.redraw", "true", "false; only a target can be redrawn")
    return blueprint, estimate_cost(need, spec, blueprint.genes.n_genes)


def draw_up(
    spec: SearchSpec,
    surroundings: Surroundings,
    *,
    held_out: frozenset[str] = frozenset(),
    cache: Path | None = None,
) -> Blueprint:
    """Open the parts of a spec: headers are read, networks are built without memory.

    Args:
        spec: What to open.
        surroundings: What the spec may reach outside of itself.
        held_out: Samples on which no source may be trained.
        cache: Where trained sources are kept.

    Raises:
        InvalidInputError: Parts cannot be opened or do not fit together.
    """
    family = build_family(spec.model, surroundings)
    dataset = open_data(family, spec.dataset, surroundings)
    shape = dataset.shape()
    context = WeightsContext(family, shape, surroundings, spec.seed, "source", held_out, cache)
    source = open_weights(spec.source, context)
    target = open_weights(spec.target, replace(context, field="target"))
    target.shapes()
    sizes = part_sizes(dataset, spec.dataset)
    genes = build_gene_map(context.meta_network(), source.shapes(), spec.genome, family.group)
    problem = SearchProblem(
        genes.n_genes,
        spec.finetune.steps,
        spec.budget.evaluations,
        untrained_share=untrained_share(spec, sizes.train, sizes.validation),
    )
    return Blueprint(family, dataset, shape, sizes, context, source, target, genes, problem)


def compose(
    spec: SearchSpec, *, decisions: DecisionLog, folder: Path, surroundings: Surroundings
) -> Workbench:
    """Read the data, make or load the networks, commit to a plan.

    Args:
        spec: What to search.
        decisions: Where the plan is recorded, or found.
        folder: Of the job; keeps what is expensive to make again.
        surroundings: What the spec may reach outside of itself.

    Raises:
        InvalidInputError: What only the data can show is wrong.
    """
    prepared = read_task(spec, folder, surroundings)
    blueprint = prepared.blueprint
    check_device(blueprint.memory_need(spec), pick_device())
    check_applies(blueprint.family, blueprint.shape, prepared.data.train)
    source, target = blueprint.source.load(0), blueprint.target.load
    task = build_task(spec, blueprint, prepared.data, source, target, retention=prepared.retention)
    files = blueprint.family.companion_files(
        blueprint.shape, prepared.data.class_names, prepared.data.images
    )
    package = ModelPackage(files, blueprint.family.reopened)
    bench = set_up(task, spec, decisions=decisions, folder=folder)
    return replace(bench, checkpoints=blueprint.checkpoints(), package=package)


@dataclass(frozen=True, slots=True)
class PreparedTask:
    """Data that were read and split, and networks of which no weight has been made or loaded yet."""

    blueprint: Blueprint
    data: TaskData
    retention: Retention | None


def read_task(spec: SearchSpec, cache: Path | None, surroundings: Surroundings) -> PreparedTask:
    """Read the data, then open the networks; no source will see anything of what is judged on.

    Args:
        spec: What to search.
        cache: Where a trained source is kept, or found.
        surroundings: What the spec may reach outside of itself.

    Raises:
        InvalidInputError: What only the data can show is wrong.
    """
    # The number of threads changes the last bits of what is trained from here on, the source included.
    torch.set_num_threads(spec.plan.threads if isinstance(spec.plan, Plan) else available_cores())
    data = read_data(spec, surroundings)
    retention = read_retention(spec, surroundings, data)
    held_out = data.held_out if retention is None else data.held_out | retention.held_out
    blueprint = draw_up(spec, surroundings, held_out=held_out, cache=cache)
    return PreparedTask(blueprint, data, retention)


def read_data(spec: SearchSpec, surroundings: Surroundings) -> TaskData:
    """Read and split the target task's data.

    Raises:
        InvalidInputError: What only the data can show is wrong.
    """
    family = build_family(spec.model, surroundings)
    dataset = open_data(family, spec.dataset, surroundings)
    return load_task(dataset, spec.dataset, derive_seed(spec.seed, "data"))


def build_task(
    spec: SearchSpec,
    blueprint: Blueprint,
    data: TaskData,
    source: State,
    target: Callable[[int], State],
    *,
    retention: Retention | None = None,
) -> Task:
    """Put together all that defines a score; ``source``, ``target`` and ``retention`` as in ``Task``."""
    with seeded_torch(spec.seed, "structure"):
        network = blueprint.family.build(blueprint.shape)
    return Task(
        network=without_weights(network, blueprint.genes.tensors),
        genes=blueprint.genes,
        source=source,
        target=target,
        data=data,
        strategy=build_strategy(spec.finetune),
        metric=spec.fitness.metric,
        seed=spec.seed,
        retention=retention,
        redraws_target=isinstance(spec.target, InitConfig) and spec.target.redraw,
    )


def set_up(
    task: Task, options: SearchOptions, *, decisions: DecisionLog, folder: Path
) -> Workbench:
    """Commit to a plan for a task, measure its genes' priors and build its evaluators.

    With a plan of several processes they are started.

    Raises:
        InvalidInputError: The plan asks for several processes on a GPU, or for a task that cannot be sent to them.
    """
    task = replace(with_teachers(task, folder), mixes_replicates=mixes_replicates(task, decisions))
    device = pick_device()
    artifacts = FinalArtifacts(folder / ARTIFACTS_FOLDER)
    workers = Workers(task, artifacts)
    try:
        plan, refusals = commit_to_plan(task, options, device, decisions, workers)
        # Whatever was timed before, and whether anything was: the last bits depend on it.
        torch.set_num_threads(plan.threads)
        priors = commit_to_priors(task, device, decisions)
        n_scored = len(task.data.validation)
        if task.retention is not None:
            n_scored += len(task.retention.validation)
        evaluator = build_evaluator(task, plan, device, workers)
        return Workbench(
            task=task,
            problem=SearchProblem(
                task.genes.n_genes,
                options.finetune.steps,
                options.budget.evaluations,
                priors,
                untrained_share(options, len(task.data.train), n_scored),
            ),
            plan=plan,
            refusals=refusals,
            device=device,
            evaluator=evaluator,
            final_evaluator=keeping_artifacts(evaluator, artifacts),
            artifacts=artifacts,
            workers=workers,
        )
    except BaseException:
        workers.close()
        raise
