"""Bringing networks and states to the device and dtype of a plan."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from models.checkpoints import State


def without_weights(network: nn.Module, names: Collection[str]) -> nn.Module:
    """Let go of a network's own weights, where they are not used: a network of 100 M parameters has 400 MB of them.

    Args:
        network: Changed in place; its parameters keep shape and type, and a copy of it has memory for them again.
        names: Of the parameters, as in its state.
    """
    for name, parameter in network.named_parameters():
        if name in names:
            parameter.data = parameter.data.new_zeros(()).expand(parameter.shape)
    return network


def placed_network(network: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """Copy a network; floating-point weights are converted."""
    return copy.deepcopy(network).to(device, dtype)


def without_memory(network: nn.Module) -> nn.Module:
    """Copy a network for its structure: no tensor of its modules takes memory."""
    memo: dict[int, Tensor] = {}
    for parameter in network.parameters():
        memo[id(parameter)] = nn.Parameter(parameter.detach().to("meta"), parameter.requires_grad)
    for buffer in network.buffers():
        memo[id(buffer)] = buffer.to("meta")
    return copy.deepcopy(network, memo)


def placed_state(state: Mapping[str, Tensor], device: torch.device, dtype: torch.dtype) -> State:
    """Bring a state over; floating-point tensors are converted, counters are not."""
    return {
        name: tensor.to(device, dtype if tensor.is_floating_point() else tensor.dtype)
        for name, tensor in state.items()
    }
