"""One's own network in a spec: a function that builds it, and a search over it.

    export TRANSFERMASK_ALLOWED_FACTORIES=examples.own_networks:build PYTHONPATH=.
    transfermask search examples/own_networks.json

The same variables let a service, `transfermask serve`, take the spec over HTTP.  Run as a program, this file sets
them and searches by itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from models.data.shapes import DataShape

SPEC = Path(__file__).with_suffix(".json")


def build(shape: DataShape, width: int = 16) -> nn.Module:
    """Build the network for data of a shape; what else it takes is ``model.options`` in the spec.

    Args:
        shape: ``shape.inputs["x"]`` is the shape of one sample, ``shape.n_classes`` the number of classes.
        width: Channels of the first stage.
    """
    return TwoScales(shape.inputs["x"][0], width, shape.n_classes)


class TwoScales(nn.Module):
    """Sees every image as it is and at half its size.

    Modules that own weights are the genes, so each branch is decided on for itself.
    """

    def __init__(self, channels: int, width: int, n_classes: int) -> None:
        """Build the layers; weights must be drawn from torch's global generator, as torch's own layers do."""
        super().__init__()
        self.fine = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width))
        self.coarse = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width))
        self.mixed = nn.Conv2d(2 * width, width, 1)
        self.head = nn.Linear(width, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Give logits ``(N, C)``; inputs come by their names, and arrays and images are called ``x``."""
        half = nn.functional.avg_pool2d(x, 2)
        coarse = nn.functional.interpolate(self.coarse(half), scale_factor=2.0)
        features = torch.relu(torch.cat([self.fine(x), coarse], dim=1))
        logits: Tensor = self.head(torch.relu(self.mixed(features)).mean(dim=(2, 3)))
        return logits


def main(output: str = "search-output/own-networks") -> int:
    """Search as the command above does."""
    root = str(SPEC.parent.parent)
    own = {"TRANSFERMASK_ALLOWED_FACTORIES": "examples.own_networks:build", "PYTHONPATH": root}
    command = [sys.executable, "-m", "service.cli", "search", str(SPEC), "--output", output]
    return subprocess.run(command, env=os.environ | own, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
