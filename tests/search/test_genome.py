"""Tests of masks."""

from __future__ import annotations

import pytest

from search.errors import GenomeLengthError, InvalidInputError
from search.genome import Genome, keep_all, prefixes, transfer_all


def test_a_bitstring_comes_back_as_it_was_written() -> None:
    assert Genome.from_bitstring("0110").bitstring == "0110"
    assert Genome.from_bitstring("0110").keeps == (False, True, True, False)


def test_bitstring_of_another_length_is_refused_with_both_lengths() -> None:
    with pytest.raises(GenomeLengthError, match="3 bits, the model has 4 genes"):
        Genome.from_bitstring("011", n_genes=4)


def test_bitstring_with_other_characters_is_refused_with_what_came() -> None:
    with pytest.raises(
        InvalidInputError, match="'01x' given, expected only the characters 0 and 1"
    ):
        Genome.from_bitstring("01x")


def test_flipping_changes_one_gene_and_leaves_the_original() -> None:
    genome = Genome.from_bitstring("0110")
    assert genome.flipped(3).bitstring == "0111"
    assert genome.bitstring == "0110"


def test_agreement_is_the_share_of_equal_bits() -> None:
    genome = Genome.from_bitstring("0110")
    assert genome.agreement(Genome.from_bitstring("0101")) == 0.5
    with pytest.raises(GenomeLengthError):
        genome.agreement(keep_all(3))


def test_prefixes_transfer_the_first_layers_and_exclude_the_pure_strategies() -> None:
    assert [genome.bitstring for genome in prefixes(4)] == ["0111", "0011", "0001"]
    assert keep_all(2).bitstring == "11"
    assert transfer_all(2).bitstring == "00"
    assert prefixes(1) == []


def test_some_of_the_prefixes_are_evenly_spaced_and_include_both_ends() -> None:
    assert [genome.bitstring for genome in prefixes(10, at_most=3)] == [
        "0111111111",
        "0000011111",
        "0000000001",
    ]
    assert prefixes(4, at_most=100) == prefixes(4)
    assert prefixes(2, at_most=1) == prefixes(2)
