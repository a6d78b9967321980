"""What a search will cost, before it starts: trainings and steps of each phase, memory, and a guess at the time.

Nothing is trained for it.  ``transfermask bench`` measures the time, and so does a running search.
"""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import nn

from models.data.shapes import DataShape
from models.devices import may_have_gpu
from models.genes import GeneMap
from models.plans.compute_need import Work, flops_per_second, forward_flops
from models.plans.memory_need import MemoryNeed, least_memory, shown_bytes
from models.plans.memory_plan import available_bytes, machine_bytes
from models.plans.plan import Plan
from models.recipe.strategy import build_strategy
from search.errors import InvalidInputError
from search.optimizer import SearchProblem
from service.progress import planned_steps, planned_trainings
from service.result import Document
from service.spec import SearchOptions

# Far beyond what trains on one machine: a spec of a few bytes can ask for any size.
MOST_PARAMETERS = 20_000_000_000
CPU = torch.device("cpu")


class PhaseCost(Document):
    """One phase; searches often end earlier."""

    evaluations: int = Field(description="trainings at most")
    steps: int = Field(description="training steps at most, over all of them")


class TimeEstimate(Document):
    """How long a search takes if nothing ends it early; a guess from arithmetic, often within the two."""

    least_seconds: float
    most_seconds: float


class CostEstimate(Document):
    """What a search costs at most, and what memory it needs at least."""

    phases: dict[str, PhaseCost]
    parameters: int = Field(description="of the network")
    memory_needed_bytes: int = Field(
        description="to train one candidate after another: source, graft, network, gradients, optimizer; activations "
        "and data come on top"
    )
    memory_available_bytes: int = Field(description="main memory that is free now on this machine")
    time: TimeEstimate | None = Field(
        None,
        description="on this machine's cores if nothing else uses them; null where a GPU would train, or what the "
        "network computes cannot be seen before it runs",
    )


def memory_need(network: nn.Module, genes: GeneMap, options: SearchOptions) -> MemoryNeed:
    """What training one candidate needs.

    Raises:
        InvalidInputError: The network is larger than any that is taken.
    """
    n_parameters = sum(weight.numel() for weight in network.parameters())
    if n_parameters > MOST_PARAMETERS:
        raise InvalidInputError(
            "model", f"a network of {n_parameters:,} parameters", f"at most {MOST_PARAMETERS:,}"
        )
    dtype = options.plan.torch_dtype if isinstance(options.plan, Plan) else torch.float32
    return least_memory(network, genes, build_strategy(options.finetune), dtype)


def check_machine(need: MemoryNeed) -> None:
    """Refuse what this machine cannot compute even with nothing else running.

    With a GPU, main memory has to hold source and target only; whether there is one is not asked here: what answers
    requests never touches it.

    Raises:
        InvalidInputError: Says how much is missing.
    """
    if torch.backends.cuda.is_built():
        loaded = need.total_bytes - 2 * need.state_bytes
        need.check(machine_bytes(), "this machine has", loaded_bytes=loaded)
    else:
        need.check(machine_bytes(), "this machine has")


def check_device(need: MemoryNeed, device: torch.device, *, loaded_bytes: int = 0) -> None:
    """Refuse what a device has no room for at the moment.

    Raises:
        InvalidInputError: Says how much is missing.
    """
    place = "the GPU has free" if device.type == "cuda" else "are free on this machine now"
    need.check(available_bytes(device), place, loaded_bytes=loaded_bytes)


def render_cost(cost: CostEstimate) -> str:
    """The estimate in words."""
    phases = ", ".join(
        f"{name} {phase.evaluations:,} ({phase.steps:,} steps)"
        for name, phase in cost.phases.items()
    )
    return (
        f"{cost.parameters:,} parameters. Trainings at most: {phases}.\n"
        f"Memory to train one candidate: {shown_bytes(cost.memory_needed_bytes)} and its activations; "
        f"{shown_bytes(cost.memory_available_bytes)} are free.\n{_time_in_words(cost.time)}"
    )


def _time_in_words(time: TimeEstimate | None) -> str:
    if time is None:
        return "How long: `transfermask bench` measures it."
    least, most = (shown_seconds(s) for s in (time.least_seconds, time.most_seconds))
    return f"Time at most: a guess from arithmetic is {least} to {most}; `transfermask bench` measures it."


def shown_seconds(seconds: float) -> str:
    """A duration for people, in its largest unit."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.2g} {unit}"
    return f"{max(1, round(seconds))} s"


def estimate_time(network: nn.Module, shape: DataShape, work: Work) -> TimeEstimate | None:
    """Guess how long training takes; None where nobody can know without running it.

    Args:
        network: On the meta device.
        shape: Of the data.
        work: What is to be trained and scored.
    """
    flops = None if may_have_gpu() else forward_flops(network, shape)
    if flops is None:
        return None
    least, most = work.seconds(flops, flops_per_second())
    return TimeEstimate(least_seconds=round(least, 3), most_seconds=round(most, 3))


def planned_work(options: SearchOptions, problem: SearchProblem, n_scored: int) -> Work:
    """What a search computes at most.

    Every training is scored on ``n_scored`` samples, and so is every mask that the search looks at untrained.
    """
    steps = sum(planned_steps(options, problem.n_genes).values())
    trainings = sum(planned_trainings(options, problem.n_genes).values())
    looks = options.optimizer.looks_per_training(problem)
    # What is trained without having been on a shortlist, the first batch, is looked at afterwards.
    n_looks = math.ceil((looks + 1) * problem.budget_evaluations) if looks else 0
    return Work(steps, steps * _largest_minibatch(options), (trainings + n_looks) * n_scored)


def untrained_share(options: SearchOptions, n_train: int, n_scored: int) -> float | None:
    """Share of an evaluation's work that scoring it on ``n_scored`` samples is, 0 to 1; the rest is training.

    None where a part's size is not known yet, which is then 0.
    """
    if not n_train or not n_scored:
        return None
    steps = options.finetune.steps
    trained = steps * min(n_train, _largest_minibatch(options))
    return Work(0, 0, n_scored).flops(1) / Work(steps, trained, n_scored).flops(1)


def _largest_minibatch(options: SearchOptions) -> int:
    stages = build_strategy(options.finetune).stages
    return max(stage.objective.config.batch_size for stage in stages)


def estimate_cost(need: MemoryNeed, options: SearchOptions, n_genes: int) -> CostEstimate:
    """Put the figures together, all but the time."""
    trainings, steps = planned_trainings(options, n_genes), planned_steps(options, n_genes)
    return CostEstimate(
        phases={
            phase: PhaseCost(evaluations=trainings[phase], steps=count)
            for phase, count in steps.items()
        },
        parameters=need.parameters,
        memory_needed_bytes=need.total_bytes,
        memory_available_bytes=available_bytes(CPU),
    )
