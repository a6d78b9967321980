"""Tests of known changes to a data set."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from models.data.shifts import Shift

X = np.random.default_rng(0).random((5, 1, 4, 4), dtype=np.float32)
Y = np.array([0, 1, 2, 3, 3])
KINDS = ["label_cycle", "label_flip", "noise", "pixel_permutation", "rotate", "scale"]


def shift(kind: str, **options: object) -> Shift:
    parsed: Shift = TypeAdapter(Shift).validate_python({"kind": kind, **options})
    return parsed


def test_label_cycle_makes_every_class_the_next_one() -> None:
    assert shift("label_cycle").labels(Y, 4).tolist() == [1, 2, 3, 0, 0]


def test_label_flip_reverses_the_classes() -> None:
    assert shift("label_flip").labels(Y, 4).tolist() == [3, 2, 1, 0, 0]


def test_pixel_permutation_moves_the_pixels_of_all_images_alike() -> None:
    changed = shift("pixel_permutation").images(X)
    assert not np.array_equal(changed, X)
    order = [int(np.flatnonzero(X[0].ravel() == value)[0]) for value in changed[0].ravel()]
    assert sorted(order) == list(range(16))
    np.testing.assert_array_equal(changed.reshape(5, 16), X.reshape(5, 16)[:, order])


def test_scale_multiplies_every_pixel_position_by_its_own_gain() -> None:
    gains = shift("scale").images(X) / X
    np.testing.assert_allclose(gains, np.broadcast_to(gains[:1], gains.shape), rtol=1e-5)
    assert len(np.unique(gains[0].round(4))) == 16
    assert (gains > 0).all()


def test_noise_has_the_standard_deviation_asked() -> None:
    images = np.zeros((200, 1, 8, 8), dtype=np.float32)
    added = shift("noise", standard_deviation=0.3).images(images)
    assert added.std() == pytest.approx(0.3, rel=0.05)
    assert not np.array_equal(added[0], added[1])


def test_a_quarter_turn_is_exact_and_counter_clockwise() -> None:
    turned = shift("rotate", degrees=90).images(X)
    np.testing.assert_allclose(turned, np.rot90(X, axes=(2, 3)), atol=1e-6)


def test_a_turn_keeps_the_shape_and_brings_in_zeros() -> None:
    turned = shift("rotate", degrees=45).images(np.ones((1, 1, 8, 8), dtype=np.float32))
    assert turned.shape == (1, 1, 8, 8)
    assert turned[0, 0, 0, 0] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_shift_is_the_same_every_time_and_leaves_its_input_alone(kind: str) -> None:
    before = X.copy()
    first, second = (shift(kind).images(X) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(X, before)
    assert first.dtype == np.float32
    assert shift(kind).labels(Y, 4).dtype == np.int64


@pytest.mark.parametrize("kind", KINDS)
def test_a_shift_changes_either_images_or_labels(kind: str) -> None:
    changes_images = not np.array_equal(shift(kind).images(X), X)
    assert changes_images != (not np.array_equal(shift(kind).labels(Y, 4), Y))


@pytest.mark.parametrize("kind", ["noise", "pixel_permutation", "scale"])
def test_another_seed_gives_another_change(kind: str) -> None:
    assert not np.array_equal(shift(kind, seed=0).images(X), shift(kind, seed=1).images(X))


def test_options_of_another_shift_are_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        shift("label_flip", seed=1)
