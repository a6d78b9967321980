"""Layouts: ways to compute a chunk of candidates."""

from __future__ import annotations

from typing import Literal

from torch import nn

from models.layout import Layout
from models.population.loop import LoopLayout
from models.population.stacked import StackedLayout
from models.population.vmap import VmapLayout

LayoutName = Literal["stacked", "vmap", "loop"]


def build_layout(
    name: LayoutName,
    network: nn.Module,
    *,
    channels_last: bool = False,
    captured: bool = False,
) -> Layout:
    """Construct a layout over a network, which it may change.

    Args:
        name: Which layout.
        network: The architecture, on the device that everything shall lie on.
        channels_last: Memory order of images, where the layout can choose: pixel by pixel, not channel by channel.
        captured: Replay training steps as CUDA graphs.
    """
    if name == "stacked":
        return StackedLayout(network, channels_last=channels_last, captured=captured)
    if name == "loop":
        return LoopLayout(network, channels_last=channels_last, captured=captured)
    return VmapLayout(network, captured=captured)
