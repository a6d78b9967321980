"""The seam for augmentation: random changes to training samples, drawn anew at every step.

Drawn from a stream per replicate and step, never per candidate: all candidates see the same samples.  Draws are made on
the CPU, so that they are the same on every device.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from models.data.dataset import Examples
from models.data.shapes import DataShape
from models.randomness import generator
from search.errors import DataError, InvalidInputError
from search.registry import PluginConfig, Registry

FIELD = "finetune.augmentation"


class AugmentationConfig(PluginConfig):
    """Base of every augmentation's options."""

    def check(self, shape: DataShape) -> None:
        """Refuse data that cannot be changed in this way.

        Raises:
            InvalidInputError: With the input's shape.
        """


class ImageAugmentationConfig(AugmentationConfig):
    """Base of the options of what changes images only."""

    def check(self, shape: DataShape) -> None:
        """Refuse data with an input that is no image.

        Raises:
            InvalidInputError: With the input's shape.
        """
        for name, dimensions in shape.inputs.items():
            if len(dimensions) != 3:
                raise InvalidInputError(
                    FIELD,
                    f"{self.kind} for {name} of shape {dimensions}",
                    "it for images of shape (channels, height, width) only",
                )


class Augmentation(Protocol):
    """Changes a minibatch, each sample by a draw of its own."""

    def apply(self, x: Tensor, stream: torch.Generator) -> Tensor:
        """Give a changed copy, of the same shape and dtype and on the same device.

        Args:
            x: ``(N, *shape)``, floating point, on any device; left as it is.
            stream: On the CPU; every draw comes from it.
        """
        ...


AUGMENTATIONS: Registry[Augmentation] = Registry("finetune.augmentation", "models.augmentations")


class Augmenter:
    """Applies several augmentations one after another.

    The k-th step has the same draws whatever steps came before it in this process, so that all candidates, ways of
    computing them and resumed jobs see the same samples.
    """

    def __init__(
        self, configs: Sequence[AugmentationConfig], seed: int, *purpose: str | int
    ) -> None:
        """Bind the options, in the order in which they apply, to one training's stream."""
        self._kinds = [config.kind for config in configs]
        self._augmentations = [
            AUGMENTATIONS.plugin(config.kind)(config)  # type: ignore[call-arg]
            for config in configs
        ]
        self._seed, self._purpose = seed, purpose

    def augment(self, step: int, minibatch: Examples) -> Examples:
        """Give the minibatch of one step with every floating-point input changed; all else is shared, not copied.

        Raises:
            DataError: There is something to apply, but no input is floating point.
        """
        if not self._augmentations:
            return minibatch
        inputs = dict(minibatch.inputs)
        changed = [name for name, x in inputs.items() if x.is_floating_point()]
        if not changed:
            dtypes = {name: str(x.dtype) for name, x in inputs.items()}
            raise DataError(
                FIELD,
                f"{', '.join(self._kinds)} for inputs of type {dtypes}",
                "an input of floating-point numbers",
            )
        stream = generator(self._seed, "augmentation", *self._purpose, step)
        for augmentation in self._augmentations:
            for name in changed:
                inputs[name] = augmentation.apply(inputs[name], stream)
        return dataclasses.replace(minibatch, inputs=inputs)
