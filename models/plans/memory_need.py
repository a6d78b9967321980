"""Memory that a search cannot do without: known from architecture and recipe, before anything is read or trained."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.genes import GeneMap
from models.recipe.strategy import Objective, Strategy
from search.errors import InvalidInputError
from search.genome import keep_all, transfer_all

GIB, MIB = 2**30, 2**20


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """What training one candidate needs at least, one after another; activations come on top.

    Attributes:
        parameters: Of the network.
        state_bytes: Of one network's tensors.
        graft_bytes: Of one candidate's own copies, one for each of its learning rates.
        training_bytes: Gradients, what the optimizer remembers, and what a recipe compares with.
    """

    parameters: int
    state_bytes: int
    graft_bytes: int
    training_bytes: int

    @property
    def total_bytes(self) -> int:
        """The source, the network that computes, the graft, and what training adds; a target is needed before that."""
        return 2 * self.state_bytes + self.graft_bytes + max(self.state_bytes, self.training_bytes)

    def check(self, available_bytes: int, place: str, *, loaded_bytes: int = 0) -> None:
        """Refuse a network that does not fit.

        Args:
            available_bytes: Of memory.
            place: What has so much: ``"this machine has"``, say.
            loaded_bytes: Of the need, what is in memory already.

        Raises:
            InvalidInputError: Says how much is missing.
        """
        needed = self.total_bytes - loaded_bytes
        if needed <= available_bytes:
            return
        missing = shown_bytes(needed - available_bytes)
        raise InvalidInputError(
            "model",
            f"a network of {self.parameters:,} parameters, which needs about {shown_bytes(needed)} to train one "
            "candidate (source, graft, network, gradients, optimizer)",
            f"at most the {shown_bytes(available_bytes)} that {place}, {missing} too few; "
            "take a smaller model, a recipe that freezes more, finetune.optimizer sgd without momentum, or "
            "more memory",
        )


def least_memory(
    network: nn.Module, genes: GeneMap, strategy: Strategy, dtype: torch.dtype = torch.float32
) -> MemoryNeed:
    """Count what one candidate needs in the stage that takes most.

    Args:
        network: The architecture; may be on the meta device.
        genes: Its genes: what is frozen may depend on the mask, and the larger of both pure masks counts.
        strategy: How candidates are trained.
        dtype: That floating-point tensors are stored in.
    """
    state = network.state_dict()
    state_bytes = _bytes((state[name] for name in genes.tensors), dtype)
    trained = {name: weight for name, weight in network.named_parameters() if weight.requires_grad}

    def of_stage(objective: Objective) -> int:
        masks = keep_all(genes.n_genes), transfer_all(genes.n_genes)
        leaves = max(
            _bytes(
                (trained[name] for name in trained.keys() - objective.frozen(genes, mask)), dtype
            )
            for mask in masks
        )
        config = objective.config
        copies = 1 + config.optimizer.numbers_per_weight + bool(config.l2_sp)
        return leaves * copies + (state_bytes if config.early_stopping is not None else 0)

    return MemoryNeed(
        parameters=sum(weight.numel() for weight in network.parameters()),
        state_bytes=state_bytes,
        graft_bytes=state_bytes * len(strategy.config.learning_rates_of_one),
        training_bytes=max(of_stage(stage.objective) for stage in strategy.stages),
    )


def _bytes(tensors: Iterable[Tensor], dtype: torch.dtype) -> int:
    return sum(
        x.numel() * (dtype.itemsize if x.is_floating_point() else x.dtype.itemsize) for x in tensors
    )


def shown_bytes(n_bytes: int) -> str:
    """An amount of memory for people."""
    return f"{n_bytes / GIB:.1f} GiB" if n_bytes >= GIB // 10 else f"{n_bytes / MIB:.3g} MiB"
