"""Tests of random streams."""

from __future__ import annotations

import torch

from models.randomness import derive_seed, generator, seeded_torch


def test_a_derived_seed_is_the_same_on_every_machine() -> None:
    assert derive_seed(0, "split", "train_size") == 2918787636660617362


def test_purposes_and_seeds_give_different_streams() -> None:
    purposes: list[tuple[str | int, ...]] = [(), ("a",), ("b",), ("a", 1), ("a", "1"), ("a1",)]
    seeds = [derive_seed(seed, *purpose) for seed in (0, 1) for purpose in purposes]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_seeding_is_repeatable_and_restores_the_global_generator() -> None:
    before = torch.get_rng_state()
    draws = []
    for _ in range(2):
        with seeded_torch(3, "layers"):
            draws.append(torch.rand(4))
    assert torch.equal(draws[0], draws[1])
    assert torch.equal(torch.get_rng_state(), before)


def test_a_generator_starts_at_its_stream() -> None:
    first, second = (torch.rand(3, generator=generator(1, "minibatches")) for _ in range(2))
    assert torch.equal(first, second)
