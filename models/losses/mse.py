"""Squared error between logits and one-hot labels.

Reference: Hui and Belkin, "Evaluation of Neural Architectures Trained with Square Loss vs Cross-Entropy in
Classification Tasks", ICLR 2021.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from models.recipe.loss import LOSSES, LossConfig


class MSEConfig(LossConfig):
    """Options of the squared error."""

    kind: Literal["mse"] = "mse"


@LOSSES.register(MSEConfig)
class MSE:
    """Mean over the classes of the squared error; no softmax."""

    def __init__(self, config: MSEConfig) -> None:
        """Take the options; there are none beside the class weights."""

    def per_sample(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Give the mean squared error over the classes."""
        # torch's one_hot looks at the labels' values, which vmap and captured steps do not allow.
        classes = torch.arange(logits.shape[-1], device=labels.device)
        one_hot = (labels.unsqueeze(-1) == classes).to(logits.dtype)
        return (logits - one_hot).square().mean(dim=-1)
