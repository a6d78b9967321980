"""Everything that is compared, behind one function: transfermask's optimizers and the peers.

A searcher is named by a peer's name, or by ``transfermask KIND`` for one of transfermask's optimizers at its defaults.
"""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.search_quality.peers import is_affordable, run_peer
from benchmarks.search_quality.replay import Found, Landscape, run_study
from search.evaluation import Evaluation
from search.genome import Genome

OURS = "transfermask "


def ours(kinds: Iterable[str]) -> list[str]:
    """Names of transfermask's optimizers as searchers."""
    return [OURS + kind for kind in kinds]


def is_ours(searcher: str) -> bool:
    """Whether it is one of transfermask's."""
    return searcher.startswith(OURS)


def can_search(searcher: str, n_genes: int, budget: int) -> bool:
    """Whether a searcher takes such a problem."""
    return is_ours(searcher) or is_affordable(searcher, n_genes, budget)


def run_searcher(
    searcher: str, landscape: Landscape, n_genes: int, budget: int, seed: int
) -> tuple[Evaluation, ...]:
    """Search; give what was evaluated, in order, at most ``budget``."""
    if is_ours(searcher):
        options = {"kind": searcher.removeprefix(OURS)}
        return run_study(options, landscape, n_genes, budget, seed)
    return run_peer(searcher, landscape, n_genes, budget, seed)


def answer(searcher: str, found: Found) -> Genome:
    """What the user of a searcher gets: the best score of a peer, the best expectation of transfermask."""
    return found.leader if is_ours(searcher) else found.best_seen
