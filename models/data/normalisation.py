"""Normalisation layers by name, for the built-in convolutional families."""

from __future__ import annotations

import math
from typing import Literal

from torch import nn

NormKind = Literal["none", "batch", "group"]
# Wu and He, "Group Normalization", ECCV 2018: 32 groups for wide layers; fewer where there are fewer channels.
MAX_GROUPS = 8


def norm_layer(kind: NormKind, channels: int) -> nn.Module:
    """Build the layer that follows a convolution with ``channels`` outputs."""
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "group":
        return nn.GroupNorm(math.gcd(MAX_GROUPS, channels), channels)
    return nn.Identity()
