"""The state of a network: its tensors by name."""

from __future__ import annotations

from torch import Tensor

State = dict[str, Tensor]
