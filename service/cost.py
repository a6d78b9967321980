"""What a search will cost, before it starts: trainings and steps of each phase, and memory.

No times: nothing has been measured yet.  ``transfermask bench`` measures, and so does a running search.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import nn

from models.genes import GeneMap
from models.plans.memory_need import MemoryNeed, least_memory, shown_bytes
from models.plans.memory_plan import available_bytes, machine_bytes
from models.plans.plan import Plan
from models.recipe.strategy import build_strategy
from search.errors import InvalidInputError
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


class CostEstimate(Document):
    """What a search costs at most, and what memory it needs at least."""

    phases: dict[str, PhaseCost]
    parameters: int = Field(description="of the network")
    memory_needed_bytes: int = Field(
        description="to train one candidate after another: source, graft, network, gradients, optimizer; activations "
        "and data come on top"
    )
    memory_available_bytes: int = Field(description="main memory that is free now on this machine")


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
        f"{shown_bytes(cost.memory_available_bytes)} are free. How long: `transfermask bench`."
    )


def estimate_cost(need: MemoryNeed, options: SearchOptions, n_genes: int) -> CostEstimate:
    """Put the figures together."""
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
