"""What fine-tuning leaves as it is, candidate by candidate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models.genes import GeneMap
from search.genome import Genome


@dataclass(frozen=True, slots=True)
class Freezing:
    """The frozen tensors of a chunk.

    A frozen tensor is bit for bit the same after training, a buffer too: a normalisation whose running statistics are
    frozen normalises by them instead of by the minibatch, as in evaluation mode.

    Attributes:
        frozen: Names of the frozen tensors of each candidate, ``P`` sets.
        kept: Per tensor, for each candidate whether it is the target's own, ``P`` values.  Candidates that agree here
            were grafted with the same tensor.
        moved: Names of tensors that were changed since, by an earlier stage of training: candidates agree in none.
    """

    frozen: tuple[frozenset[str], ...]
    kept: Mapping[str, tuple[bool, ...]]
    moved: frozenset[str] = frozenset()

    def of(self, rows: Sequence[int]) -> Freezing:
        """The same for some of the candidates."""
        frozen = tuple(self.frozen[row] for row in rows)
        kept = {name: tuple(bits[row] for row in rows) for name, bits in self.kept.items()}
        return Freezing(frozen, kept, self.moved)

    def rows(self, name: str) -> tuple[bool, ...]:
        """For each candidate, whether one tensor is frozen."""
        return tuple(name in names for names in self.frozen)

    @property
    def everywhere(self) -> frozenset[str]:
        """Tensors that all candidates freeze: they need no gradient."""
        return frozenset.intersection(*self.frozen)

    @property
    def as_grafted(self) -> frozenset[str]:
        """Tensors that all candidates freeze and that no training has changed: equal where ``kept`` is."""
        return self.everywhere - self.moved

    @property
    def shared(self) -> frozenset[str]:
        """Tensors that all candidates freeze and that are equal in all of them."""
        return frozenset(name for name in self.as_grafted if len(set(self.kept[name])) == 1)


def tensors_kept(genes: GeneMap, genomes: Sequence[Genome]) -> dict[str, tuple[bool, ...]]:
    """Per tensor, for each mask whether it is the target's own."""
    n_candidates = len(genomes)
    kept = {fixed.name: (True,) * n_candidates for fixed in genes.kept}
    kept |= {fixed.name: (False,) * n_candidates for fixed in genes.transferred}
    for index, gene in enumerate(genes.genes):
        bits = tuple(genome.keeps[index] for genome in genomes)
        kept |= dict.fromkeys(gene.tensors, bits)
    return kept


def nothing_frozen(n_candidates: int) -> Freezing:
    """A chunk in which everything is trained."""
    return Freezing((frozenset(),) * n_candidates, {})
