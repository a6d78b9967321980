"""Known changes to a data set, with known consequences for which layers transfer.

After Lee et al., "Surgical Fine-Tuning Improves Adaptation to Distribution Shifts", ICLR 2023: changes of the labels
ask for new late layers, changes of the input for new early ones.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from search.registry import PluginConfig

Images = NDArray[np.float32]
Labels = NDArray[np.int64]


class _Shift(PluginConfig):
    """Base: changes nothing."""

    def images(self, x: Images) -> Images:
        """Change images ``(N, channels, height, width)``."""
        return x

    def labels(self, y: Labels, n_classes: int) -> Labels:  # noqa: ARG002 - for subclasses
        """Change labels ``(N,)``."""
        return y


class LabelCycle(_Shift):
    """Every class becomes the next one, the last the first."""

    kind: Literal["label_cycle"] = "label_cycle"

    def labels(self, y: Labels, n_classes: int) -> Labels:
        """Give (y + 1) mod C."""
        return (y + 1) % n_classes


class LabelFlip(_Shift):
    """The first class becomes the last and so on."""

    kind: Literal["label_flip"] = "label_flip"

    def labels(self, y: Labels, n_classes: int) -> Labels:
        """Give C - 1 - y."""
        return n_classes - 1 - y


class PixelPermutation(_Shift):
    """All images have their pixels shuffled, by one permutation."""

    kind: Literal["pixel_permutation"] = "pixel_permutation"
    seed: int = Field(0, ge=0, description="of the permutation")

    def images(self, x: Images) -> Images:
        """Shuffle the pixels of each channel alike."""
        n_pixels = x.shape[2] * x.shape[3]
        order = np.random.default_rng(self.seed).permutation(n_pixels)
        return x.reshape(*x.shape[:2], n_pixels)[:, :, order].reshape(x.shape)


class Scale(_Shift):
    """Every pixel position has its own random gain, exp of a standard normal."""

    kind: Literal["scale"] = "scale"
    seed: int = Field(0, ge=0, description="of the gains")

    def images(self, x: Images) -> Images:
        """Multiply all images by one map of gains."""
        gains = np.exp(np.random.default_rng(self.seed).normal(size=x.shape[1:]))
        return (x * gains).astype(np.float32)


class Noise(_Shift):
    """Gaussian noise on every pixel, drawn once per image."""

    kind: Literal["noise"] = "noise"
    standard_deviation: float = Field(0.5, gt=0, le=100, description="in units of pixel values")
    seed: int = Field(0, ge=0, description="of the noise")

    def images(self, x: Images) -> Images:
        """Add the noise."""
        noise = np.random.default_rng(self.seed).normal(scale=self.standard_deviation, size=x.shape)
        return (x + noise).astype(np.float32)


class Rotate(_Shift):
    """All images are turned by one angle; what turns in from outside is 0."""

    kind: Literal["rotate"] = "rotate"
    degrees: float = Field(90.0, gt=-360, lt=360, description="counter-clockwise")

    def images(self, x: Images) -> Images:
        """Turn, with linear interpolation."""
        from scipy import ndimage  # noqa: PLC0415 - takes a while to load, and few searches turn images

        turned = ndimage.rotate(x, self.degrees, axes=(3, 2), reshape=False, order=1)
        return np.ascontiguousarray(turned, dtype=np.float32)


Shift = Annotated[
    LabelCycle | LabelFlip | PixelPermutation | Scale | Noise | Rotate, Field(discriminator="kind")
]
