"""Tables of the synthetic problems: one per level of noise, and what the best peer is short of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.record import over_seeds, show
from benchmarks.search_quality.searchers import OURS, is_ours
from search.observations import FloatArray

Entries = Mapping[str, Any]
# Quality by family: ``(seeds,)`` each.
ByFamily = dict[str, FloatArray]


def qualities(entries: Entries, noise: str, budget: str, searcher: str, column: str) -> ByFamily:
    """One searcher's quality in one cell; empty if it was not measured there."""
    found = {}
    for key, entry in entries.items():
        own_noise, own_budget, own_searcher, family = key.split("|")
        if (own_noise, own_budget, own_searcher) == (noise, budget, searcher):
            found[family] = np.array(entry[column].split(), dtype=np.float64)
    return found


def answers(entries: Entries, noise: str, budget: str, searcher: str) -> ByFamily:
    """Quality of what the searcher's user gets."""
    column = "leader" if is_ours(searcher) else "best_seen"
    return qualities(entries, noise, budget, searcher, column)


def render(n_genes: int, entries: Entries, reference: str) -> str:
    """All tables of one number of genes."""
    keys = [key.split("|") for key in entries]
    levels = sorted({key[0] for key in keys}, key=float)
    budgets = sorted({key[1] for key in keys}, key=int)
    searchers = sorted({key[2] for key in keys}, key=lambda name: (not is_ours(name), name))
    lines = [
        f"{n_genes} genes.  Quality of the mask that a search returns after so many evaluations: 0 random, 1 optimum;",
        "mean over problems of four families with its 95% interval.  transfermask returns the best expectation, a peer",
        "its best score; in parentheses what the other choice would give for the same evaluations.",
    ]
    for noise in levels:
        lines += ["", f"Noise of {noise} standard deviations:", ""]
        lines.append("| search | " + " | ".join(f"{b} evaluations" for b in budgets) + " |")
        lines.append("|---|" + "---|" * len(budgets))
        for searcher in searchers:
            row = [_cell(entries, noise, budget, searcher) for budget in budgets]
            if any(row):
                lines.append(f"| {searcher} | " + " | ".join(row) + " |")
        peers = [name for name in searchers if not is_ours(name)]
        row = [_lead(entries, noise, budget, OURS + reference, peers) for budget in budgets]
        if any(row):
            lines.append(f"| {reference} minus best peer | " + " | ".join(row) + " |")
    commits = sorted({entry["commit"] for entry in entries.values()})
    return "\n".join([*lines, "", f"Measured at commits {', '.join(commits)}."])


def _cell(entries: Entries, noise: str, budget: str, searcher: str) -> str:
    own = answers(entries, noise, budget, searcher)
    if not own:
        return ""
    column = "best_seen" if is_ours(searcher) else "leader"
    other = qualities(entries, noise, budget, searcher, column)
    values = np.concatenate(list(own.values()))
    mean_of_other = float(np.concatenate(list(other.values())).mean())
    return f"{show(over_seeds(values.tolist()))} ({mean_of_other:.3f}), {len(values)} searches"


def _lead(entries: Entries, noise: str, budget: str, reference: str, peers: list[str]) -> str:
    """Paired difference to the strongest peer, over the problems that both have searched."""
    own = answers(entries, noise, budget, reference)
    by_peer = {name: answers(entries, noise, budget, name) for name in peers}
    by_peer = {name: found for name, found in by_peer.items() if found}
    if not own or not by_peer:
        return ""
    best = max(by_peer, key=lambda name: float(np.concatenate(list(by_peer[name].values())).mean()))
    differences: list[float] = []
    for family, theirs in by_peer[best].items():
        shared = min(len(theirs), len(own.get(family, [])))
        if shared:
            differences += (own[family][:shared] - theirs[:shared]).tolist()
    return f"{show(over_seeds(differences))} to {best}" if differences else ""
