"""The shape of one task's data, known before any data are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DataShape:
    """What a network must take and give.

    Attributes:
        inputs: Shape of one sample per named input, ``{"x": (1, 8, 8)}`` say.  Of tokens, ``{"input_ids": (128,)}``
            say, the length is an upper bound: networks take shorter ones too.
        n_classes: Number of classes, at least 2.
    """

    inputs: Mapping[str, tuple[int, ...]]
    n_classes: int
