"""Wiring: from a spec to networks, data, genes, plan, evaluator and optimizer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from models.dataset import Dataset, open_dataset
from models.devices import available_cores, pick_device
from models.evaluator import GraftEvaluator, Task
from models.family import ModelFamily, build_family
from models.final_artifacts import FinalArtifacts
from models.genes import GeneMap, build_gene_map
from models.inputs import InputFolder
from models.placement import placed_network, placed_state
from models.plan import Plan
from models.plan_probe import ProbeWork, probe_plans
from models.randomness import derive_seed, seeded_torch
from models.shapes import DataShape
from models.splits import load_task, part_sizes
from models.strategy import build_strategy
from models.weights.init import InitConfig
from models.weights_source import WeightsContext, WeightsSource, open_weights
from search.decisions import Decision, DecisionLog
from search.errors import InvalidInputError
from search.learning_rate import PREPARING_PHASE
from search.ledger import Json, Position
from search.optimizer import Optimizer, SearchProblem
from search.optimizers import OPTIMIZERS
from service.result import Document
from service.spec import SearchOptions, SearchSpec

ARTIFACTS_FOLDER = "final"


class GeneEntry(Document):
    """One gene of the gene table."""

    name: str
    tensors: tuple[str, ...]
    parameters: int


class GeneTable(Document):
    """What a mask decides: the genes in order, and the tensors that are no genes with the reason."""

    n_genes: int
    genes: tuple[GeneEntry, ...]
    kept: dict[str, str]
    transferred: dict[str, str]


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What is known of a search before any data are read or any network is trained."""

    family: ModelFamily
    dataset: Dataset
    shape: DataShape
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
        )


@dataclass(frozen=True, slots=True)
class Workbench:
    """Everything that measuring needs.

    ``final_evaluator`` also scores the test part and keeps weights, in ``artifacts``.
    """

    task: Task
    problem: SearchProblem
    plan: Plan
    device: torch.device
    evaluator: GraftEvaluator
    final_evaluator: GraftEvaluator
    artifacts: FinalArtifacts


def check_spec(spec: SearchSpec, inputs: InputFolder) -> GeneTable:
    """Validate all that needs no data and no training.

    Raises:
        InvalidInputError: Names the field, what came and what was expected.
    """
    blueprint = draw_up(spec, inputs)
    optimizer = spec.optimizer
    optimizer.check(blueprint.problem)
    if isinstance(spec.source, InitConfig) and spec.source.redraw:
        raise InvalidInputError("source.redraw", "true", "false; only a target can be redrawn")
    return blueprint.gene_table()


def draw_up(
    spec: SearchSpec,
    inputs: InputFolder,
    *,
    held_out: frozenset[str] = frozenset(),
    cache: Path | None = None,
) -> Blueprint:
    """Open the parts of a spec: headers are read, networks are built without memory.

    Args:
        spec: What to open.
        inputs: Where files named in the spec lie.
        held_out: Samples on which no source may be trained.
        cache: Where trained sources are kept.

    Raises:
        InvalidInputError: Parts cannot be opened or do not fit together.
    """
    family = build_family(spec.model)
    dataset = open_dataset(spec.dataset, inputs)
    shape = dataset.shape()
    context = WeightsContext(family, shape, inputs, spec.seed, "source", held_out, cache)
    source = open_weights(spec.source, context)
    target = open_weights(spec.target, replace(context, field="target"))
    target.shapes()
    part_sizes(dataset, spec.dataset)
    genes = build_gene_map(context.meta_network(), source.shapes(), spec.genome)
    problem = SearchProblem(genes.n_genes, spec.finetune.steps, spec.budget.evaluations)
    return Blueprint(family, dataset, shape, source, target, genes, problem)


def build_optimizer(options: SearchOptions, problem: SearchProblem) -> Optimizer:
    """Construct the optimizer that a spec names."""
    seed = derive_seed(options.seed, "optimizer") % 2**32
    plugin = OPTIMIZERS.plugin(options.optimizer.kind)
    return plugin(options.optimizer, problem, seed)  # type: ignore[call-arg]


def compose(
    spec: SearchSpec, *, decisions: DecisionLog, folder: Path, inputs: InputFolder
) -> Workbench:
    """Read the data, make or load the networks, commit to a plan.

    Args:
        spec: What to search.
        decisions: Where the plan is recorded, or found.
        folder: Of the job; keeps what is expensive to make again.
        inputs: Where files named in the spec lie.

    Raises:
        InvalidInputError: What only the data can show is wrong.
    """
    # The number of threads changes the last bits of what is trained here, the source included.
    torch.set_num_threads(spec.plan.threads if isinstance(spec.plan, Plan) else available_cores())
    dataset = open_dataset(spec.dataset, inputs)
    data = load_task(dataset, spec.dataset, derive_seed(spec.seed, "data"))
    blueprint = draw_up(spec, inputs, held_out=data.held_out, cache=folder)
    with seeded_torch(spec.seed, "structure"):
        network = blueprint.family.build(blueprint.shape)
    task = Task(
        network=network,
        genes=blueprint.genes,
        source=blueprint.source.load(0),
        target=blueprint.target.load,
        data=data,
        strategy=build_strategy(spec.finetune),
        metric=spec.fitness.metric,
        seed=spec.seed,
    )
    return set_up(task, spec, decisions=decisions, folder=folder)


def set_up(
    task: Task, options: SearchOptions, *, decisions: DecisionLog, folder: Path
) -> Workbench:
    """Commit to a plan for a task and build its evaluators."""
    device = pick_device()
    plan = _plan(task, options, device, decisions)
    artifacts = FinalArtifacts(folder / ARTIFACTS_FOLDER)
    return Workbench(
        task=task,
        problem=SearchProblem(
            task.genes.n_genes, options.finetune.steps, options.budget.evaluations
        ),
        plan=plan,
        device=device,
        evaluator=GraftEvaluator(task, plan, device),
        final_evaluator=GraftEvaluator(task, plan, device, artifacts),
        artifacts=artifacts,
    )


def _plan(task: Task, options: SearchOptions, device: torch.device, decisions: DecisionLog) -> Plan:
    """The plan that the spec pins, or the one measured when the job first ran."""

    def choose() -> tuple[Decision, Decision]:
        if isinstance(options.plan, Plan):
            return {"plan": options.plan.model_dump(mode="json"), "refusals": {}}, {}
        work = ProbeWork(
            network=placed_network(task.network, device, torch.float32),
            state=placed_state(task.target(0), device, torch.float32),
            data=task.data.to(device, torch.float32).train,
            strategy=task.strategy,
        )
        probe = probe_plans(work, most_candidates=options.budget.evaluations)
        refusals: dict[str, Json] = {**probe.refusals}
        plan: dict[str, Json] = probe.plan.model_dump(mode="json")
        return {"plan": plan, "refusals": refusals}, {**probe.milliseconds}

    decision = decisions.decide(Position(PREPARING_PHASE), "plan", choose)
    return Plan.model_validate(decision["plan"])
