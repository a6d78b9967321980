"""Fresh weights.

Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS 2010 (xavier);
He et al., "Delving Deep into Rectifiers", ICCV 2015 (kaiming).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from models.checkpoints import State
from models.randomness import seeded_torch
from models.weights_source import WEIGHTS, WeightsContext, state_shapes
from search.registry import PluginConfig

SCHEMES: dict[str, Callable[[Tensor], Tensor]] = {
    "xavier_uniform": nn.init.xavier_uniform_,
    "xavier_normal": nn.init.xavier_normal_,
    "kaiming_uniform": nn.init.kaiming_uniform_,
    "kaiming_normal": nn.init.kaiming_normal_,
}


class InitConfig(PluginConfig):
    """Options of a freshly initialised network."""

    kind: Literal["init"] = "init"
    scheme: Literal[
        "default", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal"
    ] = Field(
        "default", description="default: what the layers do themselves; else weights so, biases 0"
    )
    redraw: bool = Field(
        False,
        description="draw anew at every replicate, so that intervals cover the initialisation",
    )


@WEIGHTS.register(InitConfig)
class InitWeights:
    """Draws a network."""

    def __init__(self, config: InitConfig, context: WeightsContext) -> None:
        """Bind the options."""
        self._config, self._context = config, context

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the architecture on the task's own data."""
        return state_shapes(self._context.meta_network())

    def load(self, replicate: int) -> State:
        """Draw; without ``redraw`` every replicate gets the same."""
        context = self._context
        draw = replicate if self._config.redraw else 0
        with seeded_torch(context.seed, context.field, "init", draw):
            network = context.family.build(context.shape)
            if self._config.scheme != "default":
                initialise = SCHEMES[self._config.scheme]
                for module in network.modules():
                    if isinstance(module, nn.Linear | nn.modules.conv._ConvNd):
                        initialise(module.weight)
                        if module.bias is not None:
                            nn.init.zeros_(module.bias)
        return network.state_dict()
