"""Samples of the right shape that hold nothing: to try a network, or to count what it computes."""

from __future__ import annotations

import torch
from torch import Tensor

from models.data.shapes import DataShape


def blank_samples(shape: DataShape, count: int, device: str) -> dict[str, Tensor]:
    """Give zeros by the names of inputs; what is not called x holds whole numbers, as tokens and masks do."""
    return {
        name: torch.zeros(
            count,
            *dimensions,
            dtype=torch.float32 if name == "x" else torch.int64,
            device=device,
        )
        for name, dimensions in shape.inputs.items()
    }
