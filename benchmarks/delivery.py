"""What a finished search hands over, and the network that its weights make in the product itself."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file
from torch import nn

from models.family import build_family, open_data
from models.surroundings import Surroundings
from service.spec import SearchSpec

# float32's rounding of a logit; the same network on the same input differs by less, on another pixel by far more.
SAME = 1e-5


@dataclass(frozen=True, slots=True)
class Delivery:
    """A finished search: its spec, the folder that it was given as a zip, and its weights.

    Attributes:
        spec: What was searched.
        surroundings: What the spec could reach.
        weights: ``weights.safetensors``.
        model: The folder that the library loads.
    """

    spec: SearchSpec
    surroundings: Surroundings
    weights: Path
    model: Path


def unpacked(archive: Path, folder: Path) -> Path:
    """Unpack ``model.zip``; give the folder in it."""
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(folder)
    return folder / "model"


def own_network(delivery: Delivery) -> nn.Module:
    """The network as the product builds it, with the delivered weights."""
    family = build_family(delivery.spec.model, delivery.surroundings)
    shape = open_data(family, delivery.spec.dataset, delivery.surroundings).shape()
    network = family.build(shape).eval()
    network.load_state_dict(load_file(delivery.weights))
    return network
