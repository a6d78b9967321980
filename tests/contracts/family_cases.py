"""What the contract tests need to build a network of each family: options, surroundings, a shape that it takes."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from models.data.shapes import DataShape
from models.inputs import InputFolder
from models.surroundings import NOTHING, Surroundings

IMAGE, SEQUENCE = DataShape({"x": (1, 8, 8)}, 3), DataShape({"x": (5, 4)}, 3)
COLOURED = DataShape({"x": (3, 8, 8)}, 3)


@dataclass(frozen=True, slots=True)
class FamilyCase:
    """One way to build a family's networks; by default its own options on an image."""

    options: dict[str, Any] = field(default_factory=dict)
    surroundings: Surroundings = NOTHING
    shape: DataShape = IMAGE


VIT = {
    "model_type": "vit",
    "image_size": 8,
    "patch_size": 4,
    "num_channels": 1,
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 12,
}
CASES = {
    "transformer_encoder": FamilyCase(shape=SEQUENCE),
    "gru": FamilyCase({"width": 6, "bidirectional": True}, shape=SEQUENCE),
    "lstm": FamilyCase({"width": 6}, shape=SEQUENCE),
    "transformers": FamilyCase({"task": "image_classification", "config": VIT}),
    "python": FamilyCase(
        {"factory": "tests.contracts.family_cases:build_own", "options": {"width": 5}},
        Surroundings(
            InputFolder(NOTHING.inputs.root), factories=("tests.contracts.family_cases:build_own",)
        ),
    ),
    "timm": FamilyCase({"name": "tiny"}),
    "torchvision": FamilyCase({"name": "tiny"}, shape=COLOURED),
}


def case_of(kind: str) -> FamilyCase:
    """The case of a family; a new one is tried with its defaults."""
    return CASES.get(kind, FamilyCase())


def build_own(shape: DataShape, width: int) -> nn.Module:
    """Build a user's own module."""
    return Own(shape, width)


class Own(nn.Module):
    """A convolution with a norm, and a head."""

    def __init__(self, shape: DataShape, width: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(shape.inputs["x"][0], width, 3)
        self.norm = nn.BatchNorm2d(width)
        self.head = nn.Linear(width, shape.n_classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(torch.relu(self.norm(self.stem(x))).mean(dim=(2, 3)))
        return logits


def install_fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put small stand-ins where timm and torchvision, which have no CPU build, would be found."""
    monkeypatch.setitem(sys.modules, "timm", fake_timm())
    monkeypatch.setitem(sys.modules, "torchvision", fake_torchvision())


def fake_timm() -> ModuleType:
    """What the family uses of timm, with one architecture."""

    def create_model(name: str, *, pretrained: bool, num_classes: int, in_chans: int) -> nn.Module:
        assert (name, pretrained) == ("tiny", False)
        return Own(DataShape({"x": (in_chans,)}, num_classes), 4)

    library: Any = ModuleType("timm")
    library.is_model = lambda name: name == "tiny"
    library.list_models = lambda _: ["tiny"]
    library.create_model = create_model
    library.get_pretrained_cfg = lambda _: SimpleNamespace(
        input_size=(3, 32, 48), mean=(0.5, 0.4, 0.3), std=(0.1, 0.2, 0.3)
    )
    return library  # type: ignore[no-any-return]


class WithAuxiliary(Own):
    """Gives more than logits while it trains, as some architectures of torchvision do."""

    def forward(self, x: Tensor) -> Any:
        logits = super().forward(x)
        return SimpleNamespace(logits=logits, aux_logits=logits) if self.training else logits


def fake_torchvision() -> ModuleType:
    """What the family uses of torchvision, with one architecture."""

    def get_model(name: str, *, weights: None, num_classes: int) -> nn.Module:
        assert name == "tiny"
        return WithAuxiliary(COLOURED if num_classes == 3 else IMAGE, 4)

    known = SimpleNamespace(crop_size=[224], mean=[0.4, 0.5, 0.6], std=[0.2, 0.2, 0.3])
    library: Any = ModuleType("torchvision")
    library.models = SimpleNamespace(
        list_models=lambda **_: ["tiny"],
        get_model=get_model,
        get_model_weights=lambda _: SimpleNamespace(
            DEFAULT=SimpleNamespace(transforms=lambda: known)
        ),
    )
    return library  # type: ignore[no-any-return]
