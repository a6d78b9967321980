"""Images rotated about their centre."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import grid_sample

from models.recipe.augmentation import AUGMENTATIONS, ImageAugmentationConfig


class RotationConfig(ImageAugmentationConfig):
    """Options of rotating."""

    kind: Literal["rotation"] = "rotation"
    degrees: float = Field(
        10.0, ge=0, le=180, description="the largest angle, either way; all up to it are as likely"
    )


@AUGMENTATIONS.register(RotationConfig)
class Rotation:
    """Rotates each image by an angle of its own."""

    def __init__(self, config: RotationConfig) -> None:
        """Bind the options."""
        self._config = config

    def apply(self, x: Tensor, stream: torch.Generator) -> Tensor:
        """Rotate images ``(N, channels, height, width)``; what comes from outside is 0."""
        largest = math.radians(self._config.degrees)
        return rotated(x, (2 * torch.rand(len(x), generator=stream) - 1) * largest)


def rotated(x: Tensor, angles: Tensor) -> Tensor:
    """Rotate each image counter-clockwise, interpolating between the four nearest pixels.

    Args:
        x: ``(N, channels, height, width)``, floating point.
        angles: ``(N,)`` in radians, on the CPU.

    Returns:
        As ``x``; 0 where the pixel would come from outside the image.
    """
    dtype = torch.promote_types(x.dtype, torch.float32)
    height, width = x.shape[-2:]
    # Not by affine_grid: it multiplies matrices, which TF32 would round to a tenth of a pixel in a large image.
    cosine, sine = (
        part.to(x.device, dtype).view(-1, 1, 1) for part in (angles.cos(), angles.sin())
    )
    across = torch.arange(width, dtype=dtype, device=x.device) - (width - 1) / 2
    down = (torch.arange(height, dtype=dtype, device=x.device) - (height - 1) / 2).unsqueeze(1)
    grid = torch.stack(
        (
            (cosine * across - sine * down) * (2 / width),
            (sine * across + cosine * down) * (2 / height),
        ),
        dim=-1,
    )
    return grid_sample(x.to(dtype), grid, align_corners=False).to(x.dtype)
