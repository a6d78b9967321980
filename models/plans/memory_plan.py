"""Planning memory: what one candidate's training step keeps, measured on one step, and what the machine has left."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from models.data.dataset import Examples
from models.placement import placed_network
from models.recipe.strategy import Objective
from models.recipe.training_optimizer import build_training_optimizer

# Of what is left, the share that chunks may plan with: allocators, workspaces and the rest of the machine need some.
PLANNED_SHARE = 0.6
_CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)


def available_bytes(device: torch.device) -> int:
    """Memory that new tensors on a device may take now: the machine's, or its container's if that is less."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    limits = [
        _meminfo_bytes("MemAvailable"),
        *(_container_bytes(limit, used) for limit, used in _CGROUPS),
    ]
    return min(limit for limit in limits if limit is not None)


def machine_bytes() -> int:
    """Memory that the machine has, used or not, or its container's limit if that is less."""
    limits = [_meminfo_bytes("MemTotal"), *(_limit_bytes(limit) for limit, _ in _CGROUPS)]
    return min(limit for limit in limits if limit is not None)


def candidate_bytes(network: nn.Module, objective: Objective, minibatch: Examples) -> int:
    """Memory that one more candidate in a chunk takes while it trains.

    Counts its minibatch, its tensors, their gradients, what the optimizer keeps, the copies that L2-SP and early
    stopping keep, and what the forward pass saves for the backward pass, all measured on one training step of a copy;
    saved views of one tensor count once.

    Args:
        network: Not changed; it need not be on the device of ``minibatch``.
        objective: What a step does.
        minibatch: One minibatch of the usual size, with the targets of the objective.
    """
    device = minibatch.labels.device
    trial = placed_network(network, device, torch.float32).train()
    saved: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    leaves: list[Tensor] = [weight for weight in trial.parameters() if weight.requires_grad]
    own = {x.untyped_storage().data_ptr() for x in (*trial.parameters(), *trial.buffers())}
    given = (*minibatch.inputs.values(), minibatch.labels, *minibatch.targets.values())
    own |= {x.untyped_storage().data_ptr() for x in given}
    with torch.random.fork_rng(), saved_tensors_hooks(note, lambda tensor: tensor):
        loss = objective.loss(trial(**minibatch.inputs), minibatch)
    kept = [*given, *trial.parameters(), *trial.buffers()]
    if leaves and loss.requires_grad:
        loss.backward()
        optimizer = build_training_optimizer(
            objective.config.optimizer, [{"params": leaves, "lr": 0.0}]
        )
        optimizer.step()
        kept += [weight.grad for weight in leaves if weight.grad is not None]
        for values in optimizer.state.values():
            kept += [value for value in values.values() if isinstance(value, Tensor)]
    if objective.config.l2_sp:
        kept += leaves
    if objective.config.early_stopping is not None:
        kept += [*trial.parameters(), *trial.buffers()]
    activations = sum(size for pointer, size in saved.items() if pointer not in own)
    return activations + sum(tensor.nbytes for tensor in kept)


def _meminfo_bytes(field: str) -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    sizes = [int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")]
    return sizes[0] if sizes else None


def _limit_bytes(limit_file: str) -> int | None:
    try:
        limit = Path(limit_file).read_text(encoding="ascii").strip()
    except OSError:
        return None
    return None if limit == "max" else int(limit)


def _container_bytes(limit_file: str, used_file: str) -> int | None:
    limit = _limit_bytes(limit_file)
    try:
        used = int(Path(used_file).read_text(encoding="ascii"))
    except OSError:
        return None
    return None if limit is None else max(0, limit - used)
