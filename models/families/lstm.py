"""Layers of long short-term memories over sequences of numbers or over text."""

from __future__ import annotations

from typing import Literal

from torch import nn

from models.family import FAMILIES
from models.recurrent.family import RecurrentConfig, RecurrentFamily


class LSTMConfig(RecurrentConfig):
    """Options of a network of long short-term memories."""

    kind: Literal["lstm"] = "lstm"


@FAMILIES.register(LSTMConfig)
class LSTMFamily(RecurrentFamily):
    """Builds networks of long short-term memories; modules are ``encoder.layers.0.forwards`` ... and ``head``."""

    cell = nn.LSTM
