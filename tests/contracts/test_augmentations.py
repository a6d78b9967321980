"""What every registered augmentation promises; a new file is tested as soon as it exists."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from models.augmentations import AUGMENTATIONS
from models.data.shapes import DataShape
from models.recipe.augmentation import (
    Augmentation,
    AugmentationConfig,
    ImageAugmentationConfig,
)
from search.errors import InvalidInputError

PARSE: TypeAdapter[AugmentationConfig] = TypeAdapter(AUGMENTATIONS.union())
NAMES = AUGMENTATIONS.names()
# Options with which nothing changes.
IDENTITIES: list[dict[str, Any]] = [
    {"kind": "flip", "horizontal_probability": 0},
    {"kind": "noise", "standard_deviation": 0},
    {"kind": "rotation", "degrees": 0},
    {"kind": "shifted_crop", "pixels": 0},
]


@pytest.fixture(params=NAMES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def build(config: AugmentationConfig) -> Augmentation:
    return AUGMENTATIONS.plugin(config.kind)(config)  # type: ignore[call-arg]


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def applied(x: Tensor, seed: int = 0, **options: object) -> Tensor:
    return build(PARSE.validate_python(options)).apply(x, stream(seed))


def images(n_samples: int = 8) -> Tensor:
    return torch.randn(n_samples, 3, 6, 5, generator=stream(1))


def test_the_same_stream_gives_the_same_samples_and_another_one_others(kind: str) -> None:
    first, again, other = (applied(images(), seed, kind=kind) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_shape_and_type_are_kept_and_the_input_left_as_it_is(kind: str, dtype: torch.dtype) -> None:
    x = images().to(dtype)
    before = x.clone()
    changed = applied(x, kind=kind)
    assert (changed.shape, changed.dtype) == (x.shape, dtype)
    assert torch.isfinite(changed).all()
    assert torch.equal(x, before)
    changed.zero_()
    assert torch.equal(x, before)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_draws_do_not_depend_on_the_type(kind: str, dtype: torch.dtype) -> None:
    changed = applied(images().to(dtype), kind=kind)
    torch.testing.assert_close(changed.float(), applied(images(), kind=kind), rtol=0.02, atol=0.05)


def test_every_sample_has_a_draw_of_its_own(kind: str) -> None:
    alike = images(1).repeat(16, 1, 1, 1)
    changed = applied(alike, kind=kind)
    assert not torch.equal(changed, changed[:1].expand_as(changed))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_gpu_sees_the_same_samples(kind: str) -> None:
    torch.testing.assert_close(
        applied(images().cuda(), kind=kind).cpu(), applied(images(), kind=kind)
    )


@pytest.mark.parametrize("options", IDENTITIES, ids=str)
def test_the_smallest_option_changes_nothing(options: dict[str, Any]) -> None:
    torch.testing.assert_close(applied(images(), **options), images(), rtol=0, atol=1e-6)


def test_images_are_accepted(kind: str) -> None:
    PARSE.validate_python({"kind": kind}).check(DataShape({"x": (3, 6, 5)}, 2))


@pytest.mark.parametrize("shape", [(12,), (7, 4), (2, 3, 6, 5)], ids=["flat", "sequence", "video"])
def test_what_changes_images_refuses_all_else_and_what_does_not_takes_it(
    kind: str, shape: tuple[int, ...]
) -> None:
    config, x = PARSE.validate_python({"kind": kind}), torch.zeros(4, *shape)
    if isinstance(config, ImageAugmentationConfig):
        with pytest.raises(InvalidInputError, match=r"finetune.augmentation: .* of shape \(") as e:
            config.check(DataShape({"image": (3, 6, 5), "x": shape}, 2))
        assert kind in str(e.value.given)
    else:
        config.check(DataShape({"x": shape}, 2))
        assert build(config).apply(x, stream()).shape == x.shape


def test_options_have_a_schema_and_refuse_unknown_keys(kind: str) -> None:
    properties = AUGMENTATIONS.config(kind).model_json_schema()["properties"]
    assert properties["kind"]["const"] == kind
    assert all("description" in option for key, option in properties.items() if key != "kind")
    with pytest.raises(ValidationError, match="Extra inputs"):
        PARSE.validate_python({"kind": kind, "per_candidate": True})


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "flip", "horizontal_probability": 1.1},
        {"kind": "flip", "vertical_probability": -0.1},
        {"kind": "noise", "standard_deviation": -1},
        {"kind": "rotation", "degrees": 181},
        {"kind": "shifted_crop", "pixels": -1},
        {"kind": "shifted_crop", "pixels": 0.5},
        {"kind": "cutout"},
    ],
    ids=str,
)
def test_options_out_of_bounds_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PARSE.validate_python(options)
