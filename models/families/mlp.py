"""Multi-layer perceptron: fully connected layers over the flattened input."""

from __future__ import annotations

import math
from collections import OrderedDict
from itertools import pairwise
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from models.data.shapes import DataShape
from models.family import FAMILIES, ModelFamily
from models.surroundings import Surroundings
from search.errors import InvalidInputError
from search.registry import PluginConfig

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh}


class MLPConfig(PluginConfig):
    """Options of a multi-layer perceptron."""

    kind: Literal["mlp"] = "mlp"
    hidden: tuple[Annotated[int, Field(ge=1, le=65536)], ...] = Field(
        (64, 64, 64), max_length=256, description="width of each hidden layer"
    )
    activation: Literal["relu", "gelu", "tanh"] = Field("relu", description="between the layers")


@FAMILIES.register(MLPConfig)
class MLPFamily(ModelFamily):
    """Builds perceptrons; layer k of K is the module ``linear{k}``."""

    def __init__(self, config: MLPConfig, surroundings: Surroundings) -> None:  # noqa: ARG002
        """Bind the options."""
        self._config = config

    def build(self, shape: DataShape) -> nn.Module:
        """Build one perceptron."""
        if set(shape.inputs) != {"x"}:
            raise InvalidInputError(
                "dataset", f"inputs {sorted(shape.inputs)}", "one input named x"
            )
        widths = [math.prod(shape.inputs["x"]), *self._config.hidden, shape.n_classes]
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for number, (fan_in, fan_out) in enumerate(pairwise(widths), start=1):
            if number > 1:
                layers[f"activation{number - 1}"] = ACTIVATIONS[self._config.activation]()
            layers[f"linear{number}"] = nn.Linear(fan_in, fan_out)
        return MLP(layers)


class MLP(nn.Sequential):
    """Layers in sequence over a flattened input."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Give logits ``(N, C)`` for samples ``(N, *shape)``."""
        x = x.flatten(1)
        for layer in self:
            x = layer(x)
        return x
