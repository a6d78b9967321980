"""Handwritten digits, 8 x 8 pixels: the data set that scikit-learn brings along.

Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, field_validator

from models.data.dataset import DATASETS, DatasetConfig, DatasetContext, Examples, LabelledData
from models.data.preprocessing import ImagePreprocessing
from models.data.shapes import DataShape
from models.data.shifts import Shift

LARGEST_PIXEL = 16
# Saved as grey pictures, of levels from 0 to 255.
AS_FILES = ImagePreprocessing((8, 8), (0.0,), (1.0,))


class DigitsConfig(DatasetConfig):
    """Options of the digits."""

    kind: Literal["digits"] = "digits"
    classes: tuple[int, ...] = Field(
        tuple(range(10)), min_length=2, description="which digits; they become classes 0, 1, ..."
    )
    shift: tuple[Shift, ...] = Field((), max_length=8, description="changes to the data, in order")

    @field_validator("classes")
    @classmethod
    def _are_different_digits(cls, classes: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(classes)) < len(classes) or not set(classes) <= set(range(10)):
            raise ValueError(f"classes {list(classes)} must be different digits from 0 to 9")
        return classes


@DATASETS.register(DigitsConfig)
class Digits:
    """1797 grey images of about 180 samples a digit; pixel values from 0 to 1."""

    def __init__(self, config: DigitsConfig, context: DatasetContext) -> None:  # noqa: ARG002
        """Bind the options; no file is read."""
        self._config = config

    def shape(self) -> DataShape:
        """One channel of 8 x 8 pixels."""
        return DataShape({"x": (1, 8, 8)}, len(self._config.classes))

    def n_samples(self) -> int:
        """Number of images of the chosen digits."""
        return int(np.isin(_all_digits()[1], self._config.classes).sum())

    def own_parts(self) -> frozenset[str]:
        """None."""
        return frozenset()

    def load(self) -> LabelledData:
        """Read the images of the chosen digits and apply the shifts."""
        (images, digits), classes = _all_digits(), self._config.classes
        chosen = np.isin(digits, classes)
        position = {digit: index for index, digit in enumerate(classes)}
        y = np.array([position[digit] for digit in digits[chosen]], dtype=np.int64)
        x = (images[chosen, None] / LARGEST_PIXEL).astype(np.float32)
        for shift in self._config.shift:
            x, y = shift.images(x), shift.labels(y, len(classes))
        names = tuple(str(digit) for digit in classes)
        samples = tuple(f"digits {row}" for row in np.flatnonzero(chosen))
        examples = Examples({"x": torch.from_numpy(x)}, torch.from_numpy(y))
        prepared = None if self._config.shift else AS_FILES
        return LabelledData(examples, names, samples, images=prepared)

    def normalised(self, train: Examples, part: Examples) -> Examples:  # noqa: ARG002
        """Nothing to do: pixel values are from 0 to 1."""
        return part


@cache
def _all_digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Images ``(1797, 8, 8)`` and digits ``(1797,)``; reading them takes longer than answering a request."""
    # scikit-learn takes long to import; only reading the data needs it.
    from sklearn.datasets import load_digits  # noqa: PLC0415

    raw = load_digits()
    return raw.images, raw.target
