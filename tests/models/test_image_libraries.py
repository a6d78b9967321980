"""Families whose libraries have no CPU build: what can be seen without them, and with small stand-ins."""

from __future__ import annotations

import re
import sys

import pytest
import torch

from models.data.preprocessing import ImagePreprocessing
from models.families import FAMILIES
from models.family import ModelFamily, build_family
from models.image_libraries import matching_torchvision
from models.surroundings import NOTHING
from search.errors import InvalidInputError
from tests.contracts.family_cases import COLOURED, IMAGE, install_fakes

BOTH = pytest.mark.parametrize("kind", ["timm", "torchvision"])


def opened(kind: str, **options: object) -> ModelFamily:
    config = FAMILIES.config(kind).model_validate({"name": "tiny", **options})
    return build_family(config, NOTHING)


@BOTH
def test_without_the_library_the_extra_and_the_matching_version_are_named(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, kind, None)
    expected = (
        rf"'transfermask\[{kind}\]'.*torchvision .* for the torch {re.escape(torch.__version__)}"
    )
    with pytest.raises(InvalidInputError, match=expected):
        opened(kind)


@pytest.mark.parametrize(
    ("version", "expected"), [("2.9.1", "0.24.*"), ("2.13.0+cpu", "0.28.*"), ("3.0", "of the")]
)
def test_each_torch_has_its_torchvision(version: str, expected: str) -> None:
    assert matching_torchvision(version).startswith(expected)


@BOTH
def test_an_unknown_architecture_and_decided_arguments_are_refused(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_fakes(monkeypatch)
    with pytest.raises(InvalidInputError, match=r"model.name: 'big' given, .*tiny"):
        opened(kind, name="big")
    with pytest.raises(InvalidInputError, match=r"model.options.num_classes: 5 given"):
        opened(kind, options={"num_classes": 5})
    with pytest.raises(InvalidInputError, match="refuses for tiny: TypeError"):
        opened(kind, options={"depth": 5}).build(COLOURED)


def test_names_that_would_fetch_something_are_no_names() -> None:
    with pytest.raises(ValueError, match="name"):
        opened("timm", name="hf_hub:someone/model")


def test_torchvision_s_networks_take_coloured_images(monkeypatch: pytest.MonkeyPatch) -> None:
    install_fakes(monkeypatch)
    with pytest.raises(InvalidInputError, match="images with 3"):
        opened("torchvision").build(IMAGE)


def test_images_are_prepared_as_for_the_published_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    install_fakes(monkeypatch)
    assert opened("timm").preprocessing().image == ImagePreprocessing(
        (32, 48), (0.5, 0.4, 0.3), (0.1, 0.2, 0.3)
    )
    assert opened("timm", options={"img_size": 16}).preprocessing().image == ImagePreprocessing(
        (16, 16), (0.5, 0.4, 0.3), (0.1, 0.2, 0.3)
    )
    assert opened("torchvision").preprocessing().image == ImagePreprocessing(
        (224, 224), (0.4, 0.5, 0.6), (0.2, 0.2, 0.3)
    )
