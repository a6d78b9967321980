"""Gaussian noise on inputs of any shape.

Reference: Bishop, "Training with Noise is Equivalent to Tikhonov Regularization", Neural Computation 7 (1995), 108-116.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from models.recipe.augmentation import AUGMENTATIONS, AugmentationConfig


class NoiseConfig(AugmentationConfig):
    """Options of noise."""

    kind: Literal["noise"] = "noise"
    standard_deviation: float = Field(
        0.1, ge=0, le=1e6, description="of the noise, in units of the normalised inputs"
    )


@AUGMENTATIONS.register(NoiseConfig)
class Noise:
    """Adds a number of its own to every element."""

    def __init__(self, config: NoiseConfig) -> None:
        """Bind the options."""
        self._config = config

    def apply(self, x: Tensor, stream: torch.Generator) -> Tensor:
        """Add noise to inputs ``(N, *shape)``."""
        # float32 whatever x is: draws differ between types.
        noise = torch.randn(x.shape, generator=stream, dtype=torch.float32)
        return x + self._config.standard_deviation * noise.to(x.device, x.dtype)
