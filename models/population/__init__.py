"""Layouts: ways to compute a chunk of candidates."""

from __future__ import annotations

from typing import Literal

from torch import nn

from models.layout import Layout
from models.population.loop import LoopLayout
from models.population.vmap import VmapLayout

LayoutName = Literal["stacked", "vmap", "loop"]


def build_layout(name: LayoutName, network: nn.Module) -> Layout:
    """Construct a layout over a network, which it may change."""
    return VmapLayout(network) if name == "vmap" else LoopLayout(network)
