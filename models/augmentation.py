"""The seam for augmentation: random changes to training samples, drawn anew at every step.

Drawn from a stream per replicate and step, never per candidate: all candidates see the same samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from models.dataset import Examples
from models.randomness import derive_seed
from models.shapes import DataShape
from search.registry import PluginConfig, Registry


class AugmentationConfig(PluginConfig):
    """Base of every augmentation's options."""


class Augmentation(Protocol):
    """Changes a minibatch."""

    def apply(self, x: Tensor, stream: torch.Generator) -> Tensor:
        """Give a changed copy.

        Args:
            x: ``(N, *shape)``, floating point, on any device.
            stream: On the CPU; every draw comes from it.
        """
        ...


AUGMENTATIONS: Registry[Augmentation] = Registry("finetune.augmentation", "models.augmentations")
