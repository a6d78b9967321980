"""The seam for network architectures."""

from __future__ import annotations

from typing import Protocol

from torch import nn

from models.data.shapes import DataShape
from search.registry import PluginConfig, Registry


class ModelFamily(Protocol):
    """Builds networks of one kind of architecture.

    The promise: ``build`` draws initial weights from torch's global generator only, works on the meta device, and
    gives a module that is called with the data's named inputs and returns logits ``(N, C)``.
    """

    def build(self, shape: DataShape) -> nn.Module:
        """Build one network with default initial weights.

        Raises:
            InvalidInputError: The data do not fit the architecture; the field is ``dataset``.
        """
        ...


FAMILIES: Registry[ModelFamily] = Registry("model", "models.families")


def build_family(config: PluginConfig) -> ModelFamily:
    """Construct the family that a config names."""
    return FAMILIES.plugin(config.kind)(config)  # type: ignore[call-arg]  # a Protocol has no __init__
