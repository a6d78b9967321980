"""Tests of what each augmentation does, and of several applied to a minibatch."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from models.augmentations.flip import Flip, FlipConfig
from models.augmentations.noise import Noise, NoiseConfig
from models.augmentations.rotation import Rotation, RotationConfig, rotated
from models.augmentations.shifted_crop import ShiftedCrop, ShiftedCropConfig
from models.data.dataset import Examples
from models.data.shapes import DataShape
from models.recipe.augmentation import Augmenter
from search.errors import DataError, InvalidInputError


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(n_samples: int, height: int = 6, width: int = 6) -> Tensor:
    return torch.randn(n_samples, 2, height, width, generator=stream(1))


def minibatch() -> Examples:
    x = {"x": images(8), "mask": torch.ones(8, 6, dtype=torch.int64)}
    return Examples(x, torch.arange(8) % 3)


def test_a_certain_flip_mirrors_every_image() -> None:
    config = FlipConfig(horizontal_probability=1, vertical_probability=0)
    assert torch.equal(Flip(config).apply(images(3), stream()), images(3).flip(-1))
    config = FlipConfig(horizontal_probability=0, vertical_probability=1)
    assert torch.equal(Flip(config).apply(images(3), stream()), images(3).flip(-2))


def test_flips_are_as_frequent_as_asked_for() -> None:
    x = images(1).repeat(4000, 1, 1, 1)
    changed = Flip(FlipConfig(horizontal_probability=0.2)).apply(x, stream())
    is_flipped = (changed != x).flatten(1).any(dim=1)
    assert torch.equal(changed[is_flipped], x[is_flipped].flip(-1))
    assert is_flipped.double().mean().item() == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize("turns", [-1, 1, 2])
def test_a_quarter_turn_is_exact(turns: int) -> None:
    angles = torch.full((3,), turns * math.pi / 2)
    expected = images(3).rot90(turns, dims=(-2, -1))
    torch.testing.assert_close(rotated(images(3), angles), expected, rtol=0, atol=1e-5)


def test_images_that_are_no_squares_are_rotated_without_being_stretched() -> None:
    x = torch.zeros(1, 1, 5, 9)
    x[0, 0, 2, 3:6] = torch.tensor([1.0, 2.0, 3.0])
    expected = torch.zeros(5, 9)
    expected[1:4, 4] = torch.tensor([3.0, 2.0, 1.0])
    turned = rotated(x, torch.tensor([math.pi / 2]))[0, 0]
    torch.testing.assert_close(turned, expected, rtol=0, atol=1e-5)


def test_what_is_rotated_in_from_outside_is_0() -> None:
    turned = rotated(torch.ones(1, 1, 9, 9), torch.tensor([math.pi / 4]))[0, 0]
    assert turned[0, 0] == 0
    assert turned[4, 4] == pytest.approx(1)


def test_angles_are_spread_over_both_sides_up_to_the_largest() -> None:
    x = torch.zeros(500, 1, 41, 41)
    x[:, :, 20, 35] = 1
    turned = Rotation(RotationConfig(degrees=20)).apply(x, stream())
    positions = torch.arange(41.0) - 20
    right = (turned * positions).sum(dim=(1, 2, 3))
    up = -(turned * positions.unsqueeze(1)).sum(dim=(1, 2, 3))
    degrees = torch.atan2(up, right).rad2deg()
    assert degrees.min().item() == pytest.approx(-20, abs=1.5)
    assert degrees.max().item() == pytest.approx(20, abs=1.5)


def test_shifts_are_exact_and_reach_the_largest_on_both_axes() -> None:
    x = torch.zeros(400, 1, 7, 8)
    x[:, :, 3, 4] = 5
    shifted = ShiftedCrop(ShiftedCropConfig(pixels=2)).apply(x, stream())
    _, _, rows, columns = shifted.nonzero(as_tuple=True)
    assert (shifted.flatten(1).sum(dim=1) == 5).all()
    pairs = set(zip((rows - 3).tolist(), (columns - 4).tolist(), strict=True))
    assert pairs == {(down, across) for down in range(-2, 3) for across in range(-2, 3)}


def test_all_channels_are_shifted_alike_and_zeros_come_in() -> None:
    x = 1 + torch.arange(20.0).view(1, 1, 4, 5).repeat(50, 2, 1, 1)
    shifted = ShiftedCrop(ShiftedCropConfig(pixels=1)).apply(x, stream())
    assert torch.equal(shifted[:, 0], shifted[:, 1])
    moved_left = torch.nn.functional.pad(x[0, 0, :, 1:], (0, 1))
    assert any(torch.equal(image, moved_left) for image in shifted[:, 0])


def test_a_shift_that_could_leave_nothing_is_refused_with_the_size() -> None:
    ShiftedCropConfig(pixels=7).check(DataShape({"x": (1, 8, 9)}, 2))
    with pytest.raises(InvalidInputError, match="up to 8 pixels given, expected fewer than the 8"):
        ShiftedCropConfig(pixels=8).check(DataShape({"x": (1, 8, 9)}, 2))


def test_noise_has_the_deviation_asked_for_on_feature_vectors_too() -> None:
    noise = Noise(NoiseConfig(standard_deviation=0.5)).apply(torch.zeros(200, 50), stream())
    assert noise.std().item() == pytest.approx(0.5, rel=0.03)
    assert noise.mean().item() == pytest.approx(0, abs=0.02)


def test_a_step_has_the_same_samples_whichever_steps_came_before() -> None:
    configs = (FlipConfig(), NoiseConfig())
    one, other = (Augmenter(configs, 3, "replicate", 1) for _ in range(2))
    one.augment(0, minibatch())
    first, again, next_step = (
        augmenter.augment(step, minibatch()).inputs["x"]
        for augmenter, step in ((one, 5), (other, 5), (one, 6))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, next_step)


def test_replicates_and_seeds_have_samples_of_their_own() -> None:
    augmenters = (
        Augmenter((NoiseConfig(),), seed, replicate) for seed in (0, 1) for replicate in (0, 1)
    )
    drawn = [augmenter.augment(0, minibatch()).inputs["x"] for augmenter in augmenters]
    assert all(not torch.equal(a, b) for i, a in enumerate(drawn) for b in drawn[:i])


def test_augmentations_apply_in_the_order_given() -> None:
    flip, rotation = FlipConfig(horizontal_probability=1), RotationConfig(degrees=90)
    both, first = (Augmenter(configs, 0) for configs in ((rotation, flip), (rotation,)))
    changed, once = (a.augment(0, minibatch()).inputs["x"] for a in (both, first))
    assert torch.equal(changed, once.flip(-1))


def test_labels_and_what_is_not_floating_point_stay() -> None:
    before = minibatch()
    after = Augmenter((NoiseConfig(),), 0).augment(0, before)
    assert torch.equal(after.inputs["mask"], before.inputs["mask"])
    assert torch.equal(after.labels, before.labels)
    assert torch.equal(before.inputs["x"], images(8))


def test_without_augmentations_a_minibatch_stays() -> None:
    before = minibatch()
    assert Augmenter((), 0).augment(0, before) is before


def test_noise_on_whole_numbers_only_is_refused() -> None:
    tokens = Examples({"tokens": torch.ones(4, 7, dtype=torch.int64)}, torch.zeros(4).long())
    with pytest.raises(DataError, match=r"noise for inputs of type \{'tokens': 'torch.int64'\}"):
        Augmenter((NoiseConfig(),), 0).augment(0, tokens)
