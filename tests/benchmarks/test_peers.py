"""Peers are compared at equal numbers of evaluations."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.search_quality.peers import PEERS, run_peer
from search.evaluation import Evaluation
from search.genome import Genome

N_GENES, BUDGET = 8, 30
EXTRA = {"optuna_tpe": "optuna", "optuna_gp": "optuna", "nevergrad": "nevergrad"}


class CountingLandscape:
    """Share of ones, and a note of every call."""

    def __init__(self) -> None:
        self.calls: Counter[tuple[Genome, int]] = Counter()

    def __call__(self, genome: Genome, replicate: int) -> float:
        self.calls[genome, replicate] += 1
        return sum(genome.keeps) / genome.n_genes


def search(peer: str, landscape: CountingLandscape, seed: int = 1) -> tuple[Evaluation, ...]:
    if peer in EXTRA:
        pytest.importorskip(EXTRA[peer], reason="needs the extra 'benchmarks'")
    return run_peer(peer, landscape, N_GENES, BUDGET, seed)


@pytest.mark.filterwarnings("ignore")  # those of other people's libraries
@pytest.mark.parametrize("peer", PEERS)
def test_every_call_is_counted_and_none_is_beyond_the_budget(peer: str) -> None:
    landscape = CountingLandscape()
    evaluations = search(peer, landscape)
    assert len(evaluations) == landscape.calls.total()
    assert len(evaluations) <= BUDGET
    # Only a greedy search can have nothing more to try.
    assert len(evaluations) == BUDGET or peer == "subtuning"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("peer", PEERS)
def test_a_mask_asked_for_again_is_drawn_anew(peer: str) -> None:
    landscape = CountingLandscape()
    search(peer, landscape)
    assert set(landscape.calls.values()) == {1}
    visits: dict[Genome, list[int]] = {}
    for genome, replicate in landscape.calls:
        visits.setdefault(genome, []).append(replicate)
    assert all(replicates == list(range(len(replicates))) for replicates in visits.values())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("peer", PEERS)
def test_the_same_seed_gives_the_same_search(peer: str) -> None:
    one, same = (search(peer, CountingLandscape()) for _ in range(2))
    assert one == same
