"""Committing to a plan: the one that the spec pins, or the one that is measured to be fastest."""

from __future__ import annotations

import torch
from torch import nn

from models.devices import available_cores
from models.evaluator import GraftEvaluator, Task
from models.final_artifacts import FinalArtifacts
from models.placement import without_memory
from models.plans.memory import is_out_of_memory
from models.plans.memory_need import shown_bytes
from models.plans.memory_plan import available_bytes, candidate_bytes
from models.plans.plan import Plan
from models.plans.precision import faster_precisions
from models.plans.probe import Instruments, ProbeLimits, ProbeOutcome, probe_plans, refusal_of
from models.plans.rank_agreement import rank_correlation
from models.plans.step_timing import step_milliseconds
from models.population.stacked_network import StackedNetwork
from models.recipe.fine_tuning import stage_examples
from models.recipe.mixing import can_mix_replicates
from models.workers.pool import PooledEvaluator, WorkerPool
from search.decisions import Decision, DecisionLog
from search.errors import InvalidInputError, UnsharableTaskError
from search.evaluation import Evaluator
from search.learning_rate import PREPARING_PHASE
from search.ledger import Position
from service.progress import most_side_by_side, planned_steps
from service.spec import SearchOptions

# What Python and torch take in every process; measured 0.3 to 0.4 GB.
PROCESS_BYTES = 400_000_000


class Workers:
    """The processes of one task beside this one: started when a plan first asks for them, kept for the next."""

    def __init__(self, task: Task, artifacts: FinalArtifacts | None) -> None:
        """Bind the task; starts nothing."""
        self._task, self._artifacts = task, artifacts
        self._pool: WorkerPool | None = None

    def pool(self, plan: Plan) -> WorkerPool:
        """The processes that a plan asks for.

        Raises:
            UnsharableTaskError: The task cannot be sent to them.
            WorkerError: One could not be started.
        """
        if self._pool is None or self._pool.processes != plan.processes:
            self.close()
            self._pool = WorkerPool(
                self._task, plan.processes, threads=plan.threads, artifacts=self._artifacts
            )
        return self._pool

    def close(self) -> None:
        """End them, if there are any."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()


def build_evaluator(
    task: Task,
    plan: Plan,
    device: torch.device,
    workers: Workers,
) -> GraftEvaluator | PooledEvaluator:
    """Construct what measures by a plan.

    Args:
        task: What to measure.
        plan: How.
        device: Where.
        workers: Of the same task; asked if the plan is for several processes.

    Raises:
        InvalidInputError: The plan is for several processes, and the device is not the CPU.
    """
    _check_processes(plan, device)
    if plan.processes > 1:
        return PooledEvaluator(workers.pool(plan), plan)
    return GraftEvaluator(task, plan, device)


def keeping_artifacts(
    evaluator: GraftEvaluator | PooledEvaluator, artifacts: FinalArtifacts
) -> GraftEvaluator | PooledEvaluator:
    """The same evaluator for a final, whose artifacts it keeps; the two share their memory."""
    if isinstance(evaluator, PooledEvaluator):
        # Its workers were told where.
        return evaluator.keeping_artifacts()
    return evaluator.keeping(artifacts)


def mixes_replicates(task: Task, decisions: DecisionLog) -> bool:
    """Whether chunks of a job hold several replicates: decided with its plan, once in its life."""
    recorded = decisions.find(Position(PREPARING_PHASE), "plan")
    if recorded is not None:
        # Jobs of before this was possible have chunks of one.
        return recorded.get("mixes_replicates") is True
    return can_mix_replicates(task.network, task.genes, task.strategy, task.data.train)


def commit_to_plan(
    task: Task,
    options: SearchOptions,
    device: torch.device,
    decisions: DecisionLog,
    workers: Workers,
) -> tuple[Plan, dict[str, str]]:
    """Give the plan of a job, decided once in its life, and why other plans were not taken.

    Raises:
        InvalidInputError: The plan that the spec pins cannot compute this task on this machine.
    """

    def choose() -> tuple[Decision, Decision]:
        if isinstance(options.plan, Plan):
            _check_pinned(options.plan, task, device, workers)
            outcome = ProbeOutcome(options.plan, {}, {})
        else:
            outcome = measure_plans(task, options, device, workers)
        chosen: Decision = {
            "plan": outcome.plan.model_dump(mode="json"),
            "refusals": {**outcome.refusals},
            "mixes_replicates": task.mixes_replicates,
        }
        return chosen, {**outcome.milliseconds}

    decision = decisions.decide(Position(PREPARING_PHASE), "plan", choose)
    refusals = decision.get("refusals")
    reasons = refusals if isinstance(refusals, dict) else {}
    plan = Plan.model_validate(decision["plan"])
    if plan.processes == 1:
        workers.close()
    return plan, {name: str(reason) for name, reason in reasons.items()}


def measure_plans(
    task: Task,
    options: SearchOptions,
    device: torch.device,
    workers: Workers,
    *,
    has_weights: bool = True,
) -> ProbeOutcome:
    """Time plans on a job's own networks and data.

    Args:
        task: What to compute.
        options: Its steps and budget.
        device: Where.
        workers: Of the same task; started if plans for several processes are tried.
        has_weights: Whether source and target are what a search will have, so that masks can be ranked by them.
    """

    def time_plan(plan: Plan) -> float:
        if plan.processes == 1:
            return step_milliseconds(plan, task, device)
        return workers.pool(plan).time_plan(plan.model_copy(update={"processes": 1}))

    def correlation_with_exact(plan: Plan) -> float:
        evaluators: list[Evaluator] = [
            build_evaluator(task, one, device, workers)
            for one in (plan.model_copy(update={"dtype": "float32"}), plan)
        ]
        return rank_correlation(
            *evaluators,
            n_genes=task.genes.n_genes,
            fidelity=options.finetune.steps,
            chunk_size=plan.candidates_at_once,
        )

    limits = _limits(task, options, device)
    _check_room(limits, task)
    outcome = probe_plans(
        limits, Instruments(time_plan, correlation_with_exact if has_weights else None)
    )
    if outcome.plan.layout == "stacked":
        outcome.refusals.update(_layers_left_to_vmap(task.network))
    return outcome


def _limits(task: Task, options: SearchOptions, device: torch.device) -> ProbeLimits:
    return ProbeLimits(
        threads=available_cores(),
        most_candidates=most_side_by_side(options, task.genes.n_genes),
        planned_steps=sum(planned_steps(options, task.genes.n_genes).values()),
        candidate_bytes=_candidate_bytes(task, device),
        available_bytes=available_bytes(device),
        has_images=any(isinstance(module, nn.Conv2d) for module in task.network.modules()),
        has_processes=device.type == "cpu",
        precisions=faster_precisions(device),
        can_capture=device.type == "cuda",
        process_bytes=PROCESS_BYTES + sum(x.nbytes for x in task.source.values()),
    )


def _check_room(limits: ProbeLimits, task: Task) -> None:
    """Refuse a training step for which there is no room even alone."""
    missing = limits.candidate_bytes - limits.available_bytes
    if missing > 0:
        batch_size = max(stage.objective.config.batch_size for stage in task.strategy.stages)
        raise InvalidInputError(
            "finetune.batch_size",
            f"{batch_size}, with which a training step of one candidate takes {shown_bytes(limits.candidate_bytes)}",
            f"less: {shown_bytes(limits.available_bytes)} are free, {shown_bytes(missing)} too few",
        )


def _candidate_bytes(task: Task, device: torch.device) -> int:
    """Memory that one more candidate takes in the stage that takes most, at all of its learning rates."""
    data = task.data.to(device, torch.float32)
    needed = []
    for stage in task.strategy.stages:
        samples = stage_examples(stage.objective, data, task.teachers)
        batch = min(stage.objective.config.batch_size, len(samples))
        minibatch = samples.take(torch.arange(batch, device=device))
        needed.append(candidate_bytes(task.network, stage.objective, minibatch))
    return max(needed) * len(task.strategy.config.learning_rates_of_one)


def _layers_left_to_vmap(network: nn.Module) -> dict[str, str]:
    stacked = StackedNetwork(without_memory(network), channels_last=False)
    return {f"stacked: {name or 'the network'}": why for name, why in stacked.reasons.items()}


def _check_pinned(plan: Plan, task: Task, device: torch.device, workers: Workers) -> None:
    """Rehearse a pinned plan, so that what it cannot compute is refused before the search begins."""
    if plan.captured and device.type != "cuda":
        raise InvalidInputError(
            "plan.captured", "true", f"false where evaluations run on {device.type}"
        )
    if plan.dtype == "tf32" and device.type != "cuda":
        raise InvalidInputError(
            "plan.dtype", "tf32", f"another where evaluations run on {device.type}"
        )
    _check_processes(plan, device)
    try:
        if plan.processes > 1:
            workers.pool(plan)
        GraftEvaluator(task, plan.model_copy(update={"processes": 1}), device).rehearse(steps=1)
    except UnsharableTaskError:
        raise
    except (RuntimeError, MemoryError, NotImplementedError) as error:
        # A chunk that does not fit into memory is halved when it comes to it.
        if not is_out_of_memory(error):
            raise InvalidInputError(
                "plan.layout", plan.layout, f"a layout for this network: {refusal_of(error)}"
            ) from error


def _check_processes(plan: Plan, device: torch.device) -> None:
    if plan.processes > 1 and device.type != "cpu":
        raise InvalidInputError(
            "plan.processes", plan.processes, f"1 where evaluations run on {device.type}"
        )
