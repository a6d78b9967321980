"""Images shifted by whole pixels: padded with zeros, then cropped at random to the size that they had.

As in He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import pad

from models.data.shapes import DataShape
from models.recipe.augmentation import AUGMENTATIONS, FIELD, ImageAugmentationConfig
from search.errors import InvalidInputError


class ShiftedCropConfig(ImageAugmentationConfig):
    """Options of shifting."""

    kind: Literal["shifted_crop"] = "shifted_crop"
    pixels: int = Field(
        1, ge=0, le=10_000, description="the largest shift on each axis, either way"
    )

    def check(self, shape: DataShape) -> None:
        """Refuse what is no image, and shifts that could leave nothing of one.

        Raises:
            InvalidInputError: With the input's shape.
        """
        super().check(shape)
        for name, (_, height, width) in shape.inputs.items():
            if self.pixels >= min(height, width):
                raise InvalidInputError(
                    FIELD,
                    f"{self.kind} by up to {self.pixels} pixels",
                    f"fewer than the {height} x {width} pixels of {name}",
                )


@AUGMENTATIONS.register(ShiftedCropConfig)
class ShiftedCrop:
    """Shifts each image by a distance of its own."""

    def __init__(self, config: ShiftedCropConfig) -> None:
        """Bind the options."""
        self._config = config

    def apply(self, x: Tensor, stream: torch.Generator) -> Tensor:
        """Shift images ``(N, channels, height, width)``; what comes from outside is 0."""
        largest = self._config.pixels
        n_samples, n_channels, height, width = x.shape
        corners = torch.randint(0, 2 * largest + 1, (2, n_samples), generator=stream).to(x.device)
        rows = corners[0].unsqueeze(1) + torch.arange(height, device=x.device)
        columns = corners[1].unsqueeze(1) + torch.arange(width, device=x.device)
        samples = torch.arange(n_samples, device=x.device)
        channels = torch.arange(n_channels, device=x.device)
        return pad(x, (largest,) * 4)[
            samples.view(-1, 1, 1, 1),
            channels.view(1, -1, 1, 1),
            rows.view(n_samples, 1, height, 1),
            columns.view(n_samples, 1, 1, width),
        ]
