"""The genome: one bit per gene, and the masks that every search compares itself with.

Bit 1 keeps the target's own original weight, bit 0 transfers the source's.
Knows nothing about networks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from search.errors import GenomeLengthError, InvalidInputError


@dataclass(frozen=True, slots=True)
class Genome:
    """A mask: True at a gene keeps the target's own weight, False transfers the source's."""

    keeps: tuple[bool, ...]

    @classmethod
    def from_bitstring(cls, bitstring: str, n_genes: int | None = None) -> Genome:
        """Read a mask as users write it: ``"0011"``, first gene first.

        Raises:
            InvalidInputError: A character other than 0 and 1.
            GenomeLengthError: ``n_genes`` is given and the mask has another length.
        """
        if set(bitstring) - {"0", "1"}:
            raise InvalidInputError("mask", repr(bitstring), "only the characters 0 and 1")
        if n_genes is not None and len(bitstring) != n_genes:
            raise GenomeLengthError(len(bitstring), n_genes)
        return cls(tuple(bit == "1" for bit in bitstring))

    @classmethod
    def from_bits(cls, bits: Iterable[object]) -> Genome:
        """Take any sequence of truth values, numpy's and DEAP's included."""
        return cls(tuple(bool(bit) for bit in bits))

    @property
    def bitstring(self) -> str:
        """The mask as users read it, first gene first."""
        return "".join("1" if keep else "0" for keep in self.keeps)

    @property
    def n_genes(self) -> int:
        """Number of genes."""
        return len(self.keeps)

    def flipped(self, gene: int) -> Genome:
        """Give the neighbour that decides ``gene`` the other way."""
        return Genome(tuple(keep != (index == gene) for index, keep in enumerate(self.keeps)))

    def agreement(self, other: Genome) -> float:
        """Share of genes, 0 to 1, on which two masks decide alike."""
        if other.n_genes != self.n_genes:
            raise GenomeLengthError(other.n_genes, self.n_genes)
        return sum(a == b for a, b in zip(self.keeps, other.keeps, strict=True)) / self.n_genes

    def __str__(self) -> str:
        return self.bitstring


def keep_all(n_genes: int) -> Genome:
    """Give the baseline that transfers nothing."""
    return Genome((True,) * n_genes)


def transfer_all(n_genes: int) -> Genome:
    """Give the baseline that transfers everything: ordinary fine-tuning of the source."""
    return Genome((False,) * n_genes)


def prefixes(n_genes: int, at_most: int | None = None) -> list[Genome]:
    """Give the masks that transfer the first k genes and keep the rest, k = 1 to n - 1.

    With ``at_most``, so many of them, evenly spaced.

    The usual practice ("transfer the early layers"): Yosinski et al., "How transferable are
    features in deep neural networks?", NeurIPS 2014.
    """
    count = n_genes - 1 if at_most is None else min(n_genes - 1, at_most)
    sizes = [round(1 + index * (n_genes - 2) / max(1, count - 1)) for index in range(count)]
    return [Genome((False,) * k + (True,) * (n_genes - k)) for k in sizes]
