"""What a family wants raw images and raw text to become before its networks see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

Fit = Literal["stretch", "crop"]


@dataclass(frozen=True, slots=True)
class ImagePreprocessing:
    """Size and scale of images.

    Attributes:
        size: Height and width in pixels, each at least 1.
        mean: Per channel, of pixel values from 0 to 1; its length is the number of channels, 1 or 3.
        deviation: Per channel, likewise; greater than 0.
        fit: What becomes of images of another shape: stretched, or the middle cut out.
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    fit: Fit = "stretch"


class TextPreprocessing(Protocol):
    """Turns text into numbers.

    The promise: equal fingerprints and texts give equal tensors.
    """

    @property
    def fingerprint(self) -> str:
        """Names everything that the result depends on beside the texts: vocabulary, rules, version."""
        ...

    @property
    def longest(self) -> int:
        """The most tokens that the networks take."""
        ...

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the inputs that ``encode`` gives, such as ``input_ids`` and ``attention_mask``."""
        ...

    def encode(self, texts: Sequence[str], max_length: int) -> Mapping[str, Tensor]:
        """Give int64 ``(N, T)`` per input name, T the longest text's tokens but at most ``max_length``."""
        ...


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What a family says of raw data; None where it has no opinion."""

    image: ImagePreprocessing | None = None
    text: TextPreprocessing | None = None
