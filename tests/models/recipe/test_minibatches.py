"""Tests of which samples a training step sees."""

from __future__ import annotations

import pytest
import torch

from models.recipe.minibatches import draw_minibatches


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


def test_shuffled_draws_stay_what_they_were() -> None:
    assert draw_minibatches(5, 3, 2, 0, 1).tolist() == [[0, 3], [4, 2], [1, 2]]


def test_samples_are_drawn_in_proportion_to_their_weights() -> None:
    weights = torch.tensor([1.0, 0.0, 3.0, 4.0])
    drawn = draw_minibatches(4, steps=5000, batch_size=4, seed=0, weights=weights)
    assert drawn.shape == (5000, 4)
    shares = torch.bincount(drawn.flatten(), minlength=4) / drawn.numel()
    torch.testing.assert_close(shares, weights / 8, rtol=0, atol=0.01)
    assert shares[1] == 0


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_longer_weighted_training_starts_like_a_shorter_one(batch_size: int) -> None:
    weights = torch.arange(1.0, 11)
    long, *shorter = (
        draw_minibatches(10, steps, batch_size, 0, weights=weights) for steps in (40, 1, 2, 7)
    )
    assert all(torch.equal(long[: len(short)], short) for short in shorter)


def test_weighted_draws_differ_between_replicates_and_may_be_none() -> None:
    weights = torch.ones(50)
    first, other = (draw_minibatches(50, 3, 4, 0, k, weights=weights) for k in (0, 1))
    assert not torch.equal(first, other)
    assert draw_minibatches(50, 0, 4, 0, weights=weights).shape == (0, 4)


def test_the_largest_draw_is_still_a_sample_that_has_a_weight() -> None:
    weights = torch.zeros(100)
    weights[98] = 1e-3
    assert (draw_minibatches(100, 200, 50, 0, weights=weights) == 98).all()


def test_weights_for_another_number_of_samples_are_refused() -> None:
    with pytest.raises(ValueError, match=r"weights have shape \(3,\), samples are 4"):
        draw_minibatches(4, 1, 2, 0, weights=torch.ones(3))
