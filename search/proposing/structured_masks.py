"""Masks that people would try by hand, as a search's first questions.

Keep-all and transfer-all, prefixes (transfer the early layers) and suffixes (transfer the late ones), single flips of
both pure masks, and masks nested by the ratio of gradient to weight (Lee et al., "Surgical Fine-Tuning", ICLR 2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np

from search.genome import Genome, keep_all, prefixes, transfer_all


def structured_masks(
    n_genes: int, at_most: int, gradient_ratios: Sequence[float] | None = None
) -> list[Genome]:
    """Give up to ``at_most`` different structured masks: pure ones, prefixes if all fit, then of every kind in turns.

    Args:
        n_genes: Length of a mask.
        at_most: How many; where a kind has more than its turn, evenly spaced ones.
        gradient_ratios: One per gene, if they were measured: a high one says that the gene wants to change.
    """
    own, source = keep_all(n_genes), transfer_all(n_genes)
    kinds = [_complements(prefixes(n_genes))]
    if gradient_ratios is not None:
        kinds.append(nested_masks(gradient_ratios))
    kinds.append([source.flipped(gene) for gene in range(n_genes)])
    kinds.append([own.flipped(gene) for gene in range(n_genes)])
    first = [own, source]
    # Every search is compared with all prefixes in the end, so that measuring them now costs nothing.
    if n_genes - 1 <= at_most - len(first):
        first += prefixes(n_genes)
    else:
        kinds.insert(0, prefixes(n_genes))
    room = at_most - len(first)
    each = n_genes if sum(map(len, kinds)) <= room else max(1, room // len(kinds))
    spaced = [_evenly_spaced(kind, each) for kind in kinds]
    in_turns = [genome for turn in zip_longest(*spaced) for genome in turn if genome is not None]
    return list(dict.fromkeys([*first, *in_turns]))[:at_most]


def nested_masks(gradient_ratios: Sequence[float]) -> list[Genome]:
    """Keep the k genes with the highest ratio and transfer the rest, k = 1 to n - 1."""
    order = np.argsort(-np.asarray(gradient_ratios), kind="stable")
    masks = []
    for count in range(1, len(order)):
        keeps = np.zeros(len(order), dtype=np.bool_)
        keeps[order[:count]] = True
        masks.append(Genome.from_bits(keeps))
    return masks


def _complements(genomes: Sequence[Genome]) -> list[Genome]:
    return [Genome(tuple(not keep for keep in genome.keeps)) for genome in genomes]


def _evenly_spaced(genomes: Sequence[Genome], count: int) -> list[Genome]:
    if len(genomes) <= count:
        return list(genomes)
    # The middle of each of ``count`` equal parts: both ends are close to the pure masks.
    places = (np.arange(count) + 0.5) * len(genomes) / count
    return [genomes[int(place)] for place in places]
