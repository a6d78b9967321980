"""Candidates that freeze the same tensors with the same values compute them once, if they are trained together."""

from __future__ import annotations

from models.recipe.freezing import Freezing

# Below this many candidates in a group, on average, what is shared does not make up for smaller chunks.
WORTHWHILE_GROUP = 2


def same_prefix(freezing: Freezing) -> list[list[int]]:
    """Cut a chunk into groups that agree in all that the whole chunk freezes.

    Returns:
        Row numbers of each group; one group of all rows where grouping gains nothing.
    """
    n_rows = len(freezing.frozen)
    groups: dict[tuple[bool, ...], list[int]] = {}
    names = sorted(freezing.as_grafted)
    for row in range(n_rows):
        groups.setdefault(tuple(freezing.kept[name][row] for name in names), []).append(row)
    if len(groups) * WORTHWHILE_GROUP > n_rows:
        return [list(range(n_rows))]
    return list(groups.values())
