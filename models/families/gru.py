"""Layers of gated recurrent units over sequences of numbers or over text."""

from __future__ import annotations

from typing import Literal

from torch import nn

from models.family import FAMILIES
from models.recurrent.family import RecurrentConfig, RecurrentFamily


class GRUConfig(RecurrentConfig):
    """Options of a network of gated recurrent units."""

    kind: Literal["gru"] = "gru"


@FAMILIES.register(GRUConfig)
class GRUFamily(RecurrentFamily):
    """Builds networks of gated recurrent units; modules are ``encoder.layers.0.forwards`` ... and ``head``."""

    cell = nn.GRU
