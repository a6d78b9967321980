"""A small convolutional network: two stages of 3x3 convolutions, global pooling, three linear layers."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal

import torch
from pydantic import Field
from torch import nn

from models.data.image_shape import image_shape
from models.data.normalisation import NormKind, norm_layer
from models.data.shapes import DataShape
from models.family import FAMILIES, ModelFamily
from models.surroundings import Surroundings
from search.registry import PluginConfig

SMALLEST_IMAGE = 4


class SmallCNNConfig(PluginConfig):
    """Options of a small convolutional network; the defaults give 9 layers."""

    kind: Literal["small_cnn"] = "small_cnn"
    width: int = Field(
        16, ge=1, le=1024, description="channels of the first stage; the second has twice"
    )
    convolutions: int = Field(3, ge=1, le=16, description="convolutions in each of the two stages")
    hidden: int = Field(64, ge=1, le=65536, description="width of the two hidden linear layers")
    norm: NormKind = Field("none", description="normalisation after each convolution")


@FAMILIES.register(SmallCNNConfig)
class SmallCNNFamily(ModelFamily):
    """Builds small convolutional networks; modules are ``conv1`` ... and ``linear1`` ..."""

    def __init__(self, config: SmallCNNConfig, surroundings: Surroundings) -> None:  # noqa: ARG002
        """Bind the options."""
        self._config = config

    def build(self, shape: DataShape) -> nn.Module:
        """Build one network for images of at least 4 x 4 pixels and any number of channels."""
        config = self._config
        channels, _, _ = image_shape(shape, SMALLEST_IMAGE)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        number = 0
        for stage, width in enumerate((config.width, 2 * config.width)):
            if stage == 1:
                layers["pool"] = nn.MaxPool2d(2)
            for _ in range(config.convolutions):
                number += 1
                has_bias = config.norm == "none"
                layers[f"conv{number}"] = nn.Conv2d(channels, width, 3, padding=1, bias=has_bias)
                if config.norm != "none":
                    layers[f"norm{number}"] = norm_layer(config.norm, width)
                layers[f"relu{number}"] = nn.ReLU()
                channels = width
        layers["global_pool"] = nn.AdaptiveAvgPool2d(1)
        layers["flatten"] = nn.Flatten()
        layers["linear1"] = nn.Linear(channels, config.hidden)
        layers["linear1_relu"] = nn.ReLU()
        layers["linear2"] = nn.Linear(config.hidden, config.hidden)
        layers["linear2_relu"] = nn.ReLU()
        layers["linear3"] = nn.Linear(config.hidden, shape.n_classes)
        return SmallCNN(layers)


class SmallCNN(nn.Sequential):
    """Layers in sequence."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give logits ``(N, C)`` for images ``(N, channels, height, width)``."""
        for layer in self:
            x = layer(x)
        return x
