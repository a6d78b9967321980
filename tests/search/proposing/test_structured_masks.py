"""Tests of the masks that people would try by hand."""

from __future__ import annotations

import pytest

from search.genome import Genome, keep_all, prefixes, transfer_all
from search.proposing.structured_masks import nested_masks, structured_masks


def test_with_room_every_kind_is_there_in_full() -> None:
    masks = structured_masks(5, 100, gradient_ratios=[0.1, 0.9, 0.3, 0.2, 0.5])
    assert set(prefixes(5)) <= set(masks)
    assert {Genome.from_bitstring(bits) for bits in ("11100", "10000")} <= set(masks), "suffixes"
    assert {transfer_all(5).flipped(gene) for gene in range(5)} <= set(masks)
    assert {keep_all(5).flipped(gene) for gene in range(5)} <= set(masks)
    assert Genome.from_bitstring("01101") in masks, "the three genes that want to change most"
    assert len(masks) == len(set(masks))


@pytest.mark.parametrize("at_most", [2, 3, 12, 40])
def test_with_little_room_the_pure_masks_come_first(at_most: int) -> None:
    masks = structured_masks(60, at_most)
    assert masks[:2] == [keep_all(60), transfer_all(60)]
    assert len(set(masks)) == len(masks) <= at_most


def test_with_little_room_kinds_share_it() -> None:
    masks = structured_masks(60, 14)
    assert sum(mask in prefixes(60) for mask in masks) == 3
    assert sum(sum(mask.keeps) == 1 for mask in masks) == 3


def test_a_single_gene_has_two_masks() -> None:
    assert structured_masks(1, 10, [0.0]) == [keep_all(1), transfer_all(1)]


def test_nested_masks_keep_what_wants_to_change_most() -> None:
    assert [str(mask) for mask in nested_masks([0.2, 0.9, 0.5])] == ["010", "011"]
