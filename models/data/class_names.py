"""Classes by the names that people gave them: which values can be a label, and in what order classes come."""

from __future__ import annotations

import re
from collections.abc import Iterable

MAX_NAME_CHARACTERS = 200
# "1.0" or "2e5": what becomes of integers that passed through a table with a missing value.
_FLOAT = re.compile(r"[+-]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][+-]?\d+)?")
_INTEGER = re.compile(r"-?(0|[1-9]\d*)", re.ASCII)
_DIGITS = re.compile(r"(\d+)", re.ASCII)


def class_name(value: object) -> str:
    """Give the name of the class that a label says: text without spaces around it, an integer, true or false.

    Raises:
        ValueError: It says none; tells what came.
    """
    if value is None:
        raise ValueError("no label")
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int):
        raise ValueError(f"the label {str(value)[:100]!r} of type {type(value).__name__}")
    name = str(value).strip()
    if not name:
        raise ValueError("no label")
    if _FLOAT.fullmatch(name):
        raise ValueError(f"the label {name[:100]!r}, a number with a fraction")
    if len(name) > MAX_NAME_CHARACTERS:
        raise ValueError(f"a label of {len(name)} characters; is it the text's column?")
    if not name.isprintable():
        raise ValueError(f"the label {name[:100]!a} with characters that cannot be shown")
    return name


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Sort class names: integers by value; others letter by letter, but numbers in them by value (a2 before a10)."""
    every = list(names)
    if all(_INTEGER.fullmatch(name) for name in every):
        return tuple(sorted(every, key=int))
    return tuple(sorted(every, key=lambda name: (natural_key(name), name)))


def natural_key(name: str) -> list[tuple[bool, int, str]]:
    """Sort key by which numbers in names compare by value."""
    parts = _DIGITS.split(name)
    # Letters and numbers alternate, so that like is compared with like.
    return [
        (False, int(part), "") if number % 2 else (True, 0, part)
        for number, part in enumerate(parts)
    ]
