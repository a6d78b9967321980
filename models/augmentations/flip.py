"""Mirrored images."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from models.recipe.augmentation import AUGMENTATIONS, ImageAugmentationConfig


class FlipConfig(ImageAugmentationConfig):
    """Options of mirroring."""

    kind: Literal["flip"] = "flip"
    horizontal_probability: float = Field(
        0.5, ge=0, le=1, description="chance that left and right change places"
    )
    vertical_probability: float = Field(
        0.0, ge=0, le=1, description="chance that top and bottom change places"
    )


@AUGMENTATIONS.register(FlipConfig)
class Flip:
    """Mirrors each image or not."""

    def __init__(self, config: FlipConfig) -> None:
        """Bind the options."""
        self._config = config

    def apply(self, x: Tensor, stream: torch.Generator) -> Tensor:
        """Mirror images ``(N, channels, height, width)``."""
        config = self._config
        for axis, probability in (
            (-1, config.horizontal_probability),
            (-2, config.vertical_probability),
        ):
            is_flipped = torch.rand(len(x), generator=stream) < probability
            x = torch.where(is_flipped.to(x.device).view(-1, 1, 1, 1), x.flip(axis), x)
        return x
