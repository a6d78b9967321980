"""A piece of a list that the database keeps."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import RowMapping


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows; ``has_more`` tells whether others follow."""

    rows: list[RowMapping]
    has_more: bool
