"""Residual network for small images.

Reference: He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2: depth 6n + 2,
three stages of width w, 2w, 4w.  Shortcuts that change shape are 1x1 convolutions (their option B).
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, field_validator
from torch import nn
from torch.nn.functional import relu

from models.data.image_shape import image_shape
from models.data.normalisation import norm_layer
from models.data.shapes import DataShape
from models.family import FAMILIES, ModelFamily
from models.surroundings import Surroundings
from search.registry import PluginConfig

SMALLEST_IMAGE = 8


class ResNetCifarConfig(PluginConfig):
    """Options of a residual network."""

    kind: Literal["resnet_cifar"] = "resnet_cifar"
    depth: int = Field(20, ge=8, le=1202, description="number of weighted layers, 6n + 2")
    width: int = Field(16, ge=1, le=1024, description="channels of the first stage")
    norm: Literal["batch", "group"] = Field(
        "batch", description="normalisation after each convolution"
    )

    @field_validator("depth")
    @classmethod
    def _is_6n_plus_2(cls, depth: int) -> int:
        if depth % 6 != 2:
            below = (depth - 2) // 6 * 6 + 2
            raise ValueError(f"depth {depth} is not 6n + 2; nearest: {below} and {below + 6}")
        return depth


@FAMILIES.register(ResNetCifarConfig)
class ResNetCifarFamily(ModelFamily):
    """Builds residual networks: a stem, three stages of blocks, a linear head."""

    def __init__(self, config: ResNetCifarConfig, surroundings: Surroundings) -> None:  # noqa: ARG002
        """Bind the options."""
        self._config = config

    def build(self, shape: DataShape) -> nn.Module:
        """Build one network for images of at least 8 x 8 pixels and any number of channels."""
        channels, _, _ = image_shape(shape, SMALLEST_IMAGE)
        return ResNetCifar(self._config, channels, shape.n_classes)


class ResNetCifar(nn.Module):
    """Stem, ``blocks`` in order, global pooling, head."""

    def __init__(self, config: ResNetCifarConfig, channels: int, n_classes: int) -> None:
        """Build the layers in the order data pass them."""
        super().__init__()
        self.stem = nn.Conv2d(channels, config.width, 3, padding=1, bias=False)
        self.stem_norm = norm_layer(config.norm, config.width)
        blocks, width_in = [], config.width
        for stage in range(3):
            width = config.width * 2**stage
            for index in range((config.depth - 2) // 6):
                stride = 2 if stage > 0 and index == 0 else 1
                blocks.append(ResidualBlock(config.norm, width_in, width, stride))
                width_in = width
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Linear(width_in, n_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give logits ``(N, C)`` for images ``(N, channels, height, width)``."""
        x = relu(self.stem_norm(self.stem(x)))
        for block in self.blocks:
            x = block(x)
        logits: torch.Tensor = self.head(x.mean(dim=(2, 3)))
        return logits


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(
        self, norm: Literal["batch", "group"], width_in: int, width: int, stride: int
    ) -> None:
        """Build the block; a shortcut with weights only where the shape changes."""
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, padding=1, bias=False)
        self.norm1 = norm_layer(norm, width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = norm_layer(norm, width)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or width_in != width:
            self.shortcut = nn.Sequential(
                nn.Conv2d(width_in, width, 1, stride, bias=False), norm_layer(norm, width)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give features ``(N, width, height / stride, width / stride)``."""
        residual = self.norm2(self.conv2(relu(self.norm1(self.conv1(x)))))
        return relu(residual + self.shortcut(x))
