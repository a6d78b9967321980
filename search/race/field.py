"""Who takes part in the race: masks, prefixes, and the two pure strategies.

Masks and prefixes are narrowed down by the same rule, each among its own kind, so that the best prefix is selected
with the same care as the best mask.  Keep-all and transfer-all are never dropped for a low score.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from search.genome import Genome, keep_all, prefixes, transfer_all


@dataclass(frozen=True, slots=True)
class Field:
    """The entrants that are still in the race, by kind."""

    masks: tuple[Genome, ...]
    prefixes: tuple[Genome, ...]
    pure: tuple[Genome, ...]

    @classmethod
    def of_leaders(cls, leading: Sequence[Genome], n_genes: int, n_leaders: int) -> Field:
        """Enter the first ``n_leaders`` masks and prefixes of an order, and both pure strategies.

        Args:
            leading: Different masks, best first; prefixes and pure strategies among them or not.
            n_genes: Length of a mask.
            n_leaders: Most masks that are no baseline, and most prefixes, that enter.
        """
        pure = tuple(dict.fromkeys([keep_all(n_genes), transfer_all(n_genes)]))
        all_prefixes = set(prefixes(n_genes))
        masks = [g for g in leading if g not in all_prefixes and g not in pure]
        own_prefixes = [g for g in leading if g in all_prefixes]
        return cls(tuple(masks[:n_leaders]), tuple(own_prefixes[:n_leaders]), pure)

    @property
    def genomes(self) -> tuple[Genome, ...]:
        """Everyone: masks, pure strategies, prefixes."""
        return (*self.masks, *self.pure, *self.prefixes)

    def narrowed(self, survivors: Callable[[Sequence[Genome]], Sequence[Genome]]) -> Field:
        """Let ``survivors`` choose among the masks and, apart from them, among the prefixes."""
        return Field(
            tuple(survivors(self.masks)) if self.masks else (),
            tuple(survivors(self.prefixes)) if self.prefixes else (),
            self.pure,
        )

    def only(self, genomes: Collection[Genome]) -> Field:
        """Leave out everyone else, pure strategies too."""
        return Field(
            tuple(g for g in self.masks if g in genomes),
            tuple(g for g in self.prefixes if g in genomes),
            tuple(g for g in self.pure if g in genomes),
        )


def half_of(count: int, at_least: int) -> int:
    """How many of ``count`` go on: half, rounded up, but not fewer than ``at_least`` if there are so many."""
    return max(min(count, at_least), -(-count // 2))
