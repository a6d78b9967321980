"""Names of the worlds in which searches are simulated.

``synthetic:NAME`` is invented, ``table:NAME`` answers from a measured table, and ``flat:NAME:LUCK`` from one mask of a
table, so that no mask is better than another.
"""

from __future__ import annotations

from benchmarks.search_quality.table_worlds import (
    FlatTableWorld,
    TableWorld,
    has_full_length,
    rows_by_luck,
)
from benchmarks.search_quality.worlds import SYNTHETIC, SyntheticWorld, World

LUCK = ("least", "median", "most")


def all_landscapes(tables: list[str]) -> list[str]:
    """Every name; tables without a subset at full length are left out."""
    names = [f"synthetic:{name}" for name in SYNTHETIC]
    for table in filter(has_full_length, tables):
        names += [f"table:{table}", *(f"flat:{table}:{luck}" for luck in LUCK)]
    return names


def open_world(landscape: str, seed: int) -> World:
    """Make the world of one search.

    Raises:
        ValueError: There is no such name.
    """
    match landscape.split(":"):
        case ["synthetic", name] if name in SYNTHETIC:
            return SyntheticWorld(SYNTHETIC[name], seed)
        case ["table", name]:
            return TableWorld(name, seed)
        case ["flat", name, luck] if luck in LUCK:
            return FlatTableWorld(name, seed, rows_by_luck(name)[luck])
    raise ValueError(f"no landscape {landscape!r}; invented ones: {', '.join(all_landscapes([]))}")


def is_flat(landscape: str) -> bool:
    """Whether no mask is better than another there."""
    kind, name, *_ = landscape.split(":")
    return kind == "flat" or (kind == "synthetic" and SYNTHETIC[name].is_flat)
