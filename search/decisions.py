"""Decisions of a job: made once, then read from the ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from search.ledger import DecisionRow, Json, Ledger, Position

Decision = Mapping[str, Json]


class DecisionLog:
    """The decision rows of a ledger, by position and name."""

    def __init__(self, ledger: Ledger) -> None:
        """Read what earlier runs of the job decided."""
        self._ledger = ledger
        self._decisions = {
            (row.position, row.name): row.value
            for row in ledger.rows()
            if isinstance(row, DecisionRow)
        }

    def find(self, position: Position, name: str) -> Decision | None:
        """Give a decision if it was made."""
        return self._decisions.get((position, name))

    def has_any(self, name: str) -> bool:
        """Whether a decision of that name was made anywhere."""
        return any(known == name for _, known in self._decisions)

    def record(self, position: Position, name: str, value: Decision, timings: Decision) -> None:
        """Write a decision down; the place and the name must be new."""
        self._ledger.append([DecisionRow(position, name, value, timings)])
        self._decisions[position, name] = value

    def decide(
        self, position: Position, name: str, choose: Callable[[], tuple[Decision, Decision]]
    ) -> Decision:
        """Make a decision once in the life of a job.

        Args:
            position: Where it belongs.
            name: Which decision; unique at its position.
            choose: Makes it: the decision, and timings that explain it (left out of the canonical ledger).

        Returns:
            What was decided, now or before the job was resumed.
        """
        if (position, name) not in self._decisions:
            self.record(position, name, *choose())
        return self._decisions[position, name]
