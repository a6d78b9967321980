"""Normalisation whose running statistics some candidates of a chunk freeze and others update.

A candidate that freezes them normalises by them, as in evaluation mode; the others normalise by their minibatch.  Both
ways are computed by the module's own arithmetic and one is selected, so that a candidate's numbers do not depend on
what its neighbours freeze.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm
from torch.nn.modules.batchnorm import _NormBase

from models.checkpoints import State
from models.population.lending import joined
from models.recipe.freezing import Freezing


def gated_batch_norm(
    x: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    frozen: Tensor,
    momentum: float,
    eps: float,
) -> Tensor:
    """Batch normalisation in training mode where not frozen, in evaluation mode where frozen.

    Axes: ``K`` channels, those of one candidate or of many side by side.

    Args:
        x: ``(N, K, *spatial)``.
        running_mean: ``(K,)``; updated in place where not frozen.
        running_var: ``(K,)``; updated in place where not frozen.
        weight: ``(K,)``, or None for 1.
        bias: ``(K,)``, or None for 0.
        frozen: Bool, ``(K,)``, or ``()`` for all channels alike.
        momentum: Share of the minibatch in the new running statistics.
        eps: Added to the variance.

    Returns:
        As ``x``.
    """

    def run(statistics: State, is_training: bool) -> Tensor:
        mean, var = statistics["running_mean"], statistics["running_var"]
        return batch_norm(x, mean, var, weight, bias, is_training, momentum, eps)

    return _gated(run, {"running_mean": running_mean, "running_var": running_var}, frozen)


class _Gate:
    """Answers for a normalisation under ``vmap``, one candidate at a time.

    ``is_frozen`` becomes a bool buffer of the normalisation, outside the state.
    """

    def __init__(self, norm: nn.Module) -> None:
        """Stand in for the ``forward`` of a normalisation in training mode, which is still asked for its arithmetic."""
        self._norm, self._ordinary = norm, norm.forward
        self._own_forward = vars(norm).get("forward")
        norm.register_buffer("is_frozen", torch.zeros((), dtype=torch.bool), persistent=False)
        norm.forward = self.forward

    def remove(self) -> None:
        """Leave the normalisation as it was."""
        del self._norm.is_frozen
        del self._norm.forward
        if self._own_forward is not None:
            self._norm.forward = self._own_forward

    def forward(self, *args: Any, **options: Any) -> Tensor:
        """Normalise by the running statistics if frozen, else by the minibatch; in evaluation mode as ever."""
        if not self._norm.training:
            evaluated: Tensor = self._ordinary(*args, **options)
            return evaluated
        is_frozen = self._norm.get_buffer("is_frozen")
        keepers = {
            joined(prefix, name): module._buffers
            for prefix, module in self._norm.named_modules()
            for name, buffer in module.named_buffers(recurse=False)
            if buffer is not is_frozen
        }
        lent: State = {name: self._norm.get_buffer(name) for name in keepers}

        def hold(buffers: State) -> None:
            for name, keeper in keepers.items():
                keeper[name.rpartition(".")[2]] = buffers[name]

        def run(own_buffers: State, is_training: bool) -> Tensor:
            hold(own_buffers)
            self._norm.training = is_training
            try:
                result: Tensor = self._ordinary(*args, **options)
            finally:
                # A normalisation may assign a buffer instead of changing it in place.
                own_buffers.update({name: self._norm.get_buffer(name) for name in keepers})
                hold(lent)
                self._norm.training = True
            return result

        return _gated(run, lent, is_frozen)


def running_statistics(network: nn.Module) -> dict[str, frozenset[str]]:
    """Per normalisation with running statistics, the names of its buffers in the network's state."""
    return {
        name: frozenset(joined(name, buffer) for buffer, _ in module.named_buffers(recurse=False))
        for name, module in network.named_modules()
        if isinstance(module, _NormBase) and module.running_mean is not None
    }


def evaluate_where_frozen(network: nn.Module, freezing: Freezing) -> dict[str, tuple[bool, ...]]:
    """Put normalisations of which all candidates freeze a statistic into evaluation mode.

    Args:
        network: In training mode.
        freezing: What each candidate freezes.

    Returns:
        The normalisations that some candidates freeze and others do not, with ``P`` answers each.
    """
    mixed = {}
    for name, buffers in running_statistics(network).items():
        rows = tuple(not names.isdisjoint(buffers) for names in freezing.frozen)
        norm = network.get_submodule(name)
        if all(rows):
            norm.training = False
        elif any(rows) and norm.training:
            mixed[name] = rows
    return mixed


@contextmanager
def gates(
    network: nn.Module, frozen: Mapping[str, tuple[bool, ...]], device: torch.device
) -> Iterator[State]:
    """Have gates answer for normalisations while a network trains.

    Args:
        network: In training mode; as it was afterwards.
        frozen: Normalisations by name, and for each candidate whether it freezes them.
        device: Where the buffers shall lie.

    Yields:
        The buffers that each forward pass needs beside the state, ``(P,)`` each.
    """
    installed = [_Gate(network.get_submodule(name)) for name in frozen]
    try:
        yield {
            joined(name, "is_frozen"): torch.tensor(rows, device=device)
            for name, rows in frozen.items()
        }
    finally:
        for gate in installed:
            gate.remove()


def _gated(run: Callable[[State, bool], Tensor], buffers: State, frozen: Tensor) -> Tensor:
    """Run in training and in evaluation mode, select, and update the buffers where not frozen."""
    # Copies, because autograd must find what each pass has read.
    updated, unchanged = (
        {name: buffer.clone() for name, buffer in buffers.items()} for _ in range(2)
    )
    trained, evaluated = run(updated, True), run(unchanged, False)
    for name, buffer in buffers.items():
        buffer.copy_(torch.where(frozen, buffer, updated[name]))
    per_channel = frozen if frozen.ndim == 0 else frozen.view(-1, *[1] * (trained.ndim - 2))
    return torch.where(per_channel, evaluated, trained)
