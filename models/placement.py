"""Bringing networks and states to the device and dtype of a plan."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from models.checkpoints import State


def placed_network(network: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """Copy a network; floating-point weights are converted."""
    return copy.deepcopy(network).to(device, dtype)


def placed_state(state: Mapping[str, Tensor], device: torch.device, dtype: torch.dtype) -> State:
    """Bring a state over; floating-point tensors are converted, counters are not."""
    return {
        name: tensor.to(device, dtype if tensor.is_floating_point() else tensor.dtype)
        for name, tensor in state.items()
    }
