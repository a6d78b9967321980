"""Tests of which samples a training step sees."""

from __future__ import annotations

import pytest
import torch

from models.minibatches import draw_minibatches


def test_every_sample_is_seen_once_an_epoch() -> None:
    first_two = draw_minibatches(12, steps=6, batch_size=4, seed=0).reshape(2, 12)
    assert first_two.sort(dim=1).values.tolist() == [list(range(12))] * 2
    assert not torch.equal(first_two[0], first_two[1])


def test_a_longer_training_starts_like_a_shorter_one() -> None:
    short, long = (draw_minibatches(10, steps, batch_size=4, seed=0) for steps in (3, 11))
    assert torch.equal(long[:3], short)


def test_a_minibatch_is_never_larger_than_the_data() -> None:
    assert draw_minibatches(5, steps=2, batch_size=32, seed=0).shape == (2, 5)


def test_replicates_have_different_draws() -> None:
    first, second, again = (draw_minibatches(20, 3, 4, 0, replicate) for replicate in (0, 1, 0))
    assert not torch.equal(first, second)
    assert torch.equal(first, again)


@pytest.mark.parametrize("batch_size", [1, 4, 7])
def test_no_steps_give_no_minibatches(batch_size: int) -> None:
    assert len(draw_minibatches(10, steps=0, batch_size=batch_size, seed=0)) == 0
