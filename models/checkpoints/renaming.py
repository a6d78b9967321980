"""A user's own renaming of tensors: patterns whose stars are put back in order.

``{"encoder.*": "bert.encoder.*"}``: a star stands for any characters, dots included, as few as fit; everything else is
taken literally.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping

from search.errors import InvalidInputError

STAR = "*"
# Every one of them is compared with every name; names without a star are looked up, and may be many.
MAX_STARRED = 50


def captured(pattern: str, name: str) -> list[str] | None:
    """What the stars of a pattern stand for in a name, each the shortest; None where it does not match.

    One pass over the name: no pattern can make this slow.
    """
    first, *rest = pattern.split(STAR)
    if not rest:
        return [] if name == pattern else None
    *middle, last = rest
    if not name.startswith(first) or len(name) < len(first) + len(last):
        return None
    place, end = len(first), len(name) - len(last)
    found = []
    for literal in middle:
        next_place = name.find(literal, place, end)
        if next_place < 0:
            return None
        found.append(name[place:next_place])
        place = next_place + len(literal)
    return [*found, name[place:end]] if name.endswith(last) else None


def filled(pattern: str, parts: list[str]) -> str:
    """Put the parts in place of the stars, as many as there are."""
    first, *rest = pattern.split(STAR)
    return first + "".join(part + literal for part, literal in zip(parts, rest, strict=True))


def check_rename(rename: Mapping[str, str]) -> None:
    """Refuse patterns whose stars do not go over one by one, and too many of them.

    Raises:
        ValueError: Names the pattern.
    """
    if (starred := sum(STAR in old for old in rename)) > MAX_STARRED:
        raise ValueError(f"{starred} patterns with stars, at most {MAX_STARRED} are taken")
    for old, new in rename.items():
        if not old or not new:
            raise ValueError(f"{old!r}: {new!r} has an empty pattern")
        if old.count(STAR) != new.count(STAR):
            raise ValueError(
                f"{old!r} has {old.count(STAR)} stars and {new!r} has {new.count(STAR)}; "
                "both need as many, since each is put back in its place"
            )


def renamed(names: Collection[str], rename: Mapping[str, str], field: str) -> dict[str, str]:
    """New names by old ones, of the names that a pattern matches; a pattern without a star goes before others.

    Args:
        names: In the file.
        rename: New patterns by old ones.
        field: Where they stood in the spec.

    Raises:
        InvalidInputError: A pattern matches no name, or two match the same one.
    """
    found: dict[str, tuple[str, str]] = {}
    exact = {old: new for old, new in rename.items() if STAR not in old}
    for old, new in exact.items():
        if old not in names:
            raise _unmatched(old, names, field)
        found[old] = (old, new)
    for old, new in rename.items():
        if old in exact:
            continue
        matches = {name: parts for name in names if (parts := captured(old, name)) is not None}
        if not matches:
            raise _unmatched(old, names, field)
        for name, parts in matches.items():
            if name in exact:
                continue
            if name in found:
                raise InvalidInputError(
                    field, f"{found[name][0]!r} and {old!r}", f"one pattern that matches {name}"
                )
            found[name] = (old, filled(new, parts))
    return {name: new for name, (_, new) in found.items()}


def _unmatched(pattern: str, names: Collection[str], field: str) -> InvalidInputError:
    # Comparing with every name of a huge checkpoint would take minutes.
    some = sorted(names)[:2000]
    near = difflib.get_close_matches(pattern, some, n=3, cutoff=0.3) or some[:3]
    return InvalidInputError(
        field,
        repr(pattern),
        f"a pattern that matches a tensor of the file, such as {', '.join(near)}",
    )
