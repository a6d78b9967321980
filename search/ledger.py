"""The ledger: the append-only list of a job's evaluations and decisions.

A job resumes by starting over and letting the ledger answer what it already holds, so a row that is written is
never changed, and rows that belong together (a chunk) are written in one transaction or not at all.
``InMemoryLedger`` and ``JsonLinesLedger`` live here; the service has one in SQL.  One test suite serves all.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from search.errors import LedgerError
from search.evaluation import Arm, Candidate, Evaluation, Outcome
from search.genome import Genome

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


@dataclass(frozen=True, slots=True)
class Position:
    """Where in a job a row belongs: the phase, the batch within it, the chunk within that."""

    phase: str
    batch: int = 0
    chunk: int = 0


@dataclass(frozen=True, slots=True)
class EvaluationRow:
    """One measured candidate and the chunk it was measured in."""

    position: Position
    evaluation: Evaluation


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """A choice that replay must repeat instead of making it again: the plan, a learning rate, a stop.

    Attributes:
        position: Where it was made.
        name: Which decision; unique at its position.
        value: What was decided, as JSON.
        timings: Measured seconds that explain the decision; left out of the canonical form.
    """

    position: Position
    name: str
    value: Mapping[str, Json]
    timings: Mapping[str, Json] = field(default_factory=dict)


Row = EvaluationRow | DecisionRow


class Ledger(Protocol):
    """An append-only list of rows.

    The promise: ``append`` writes all rows or none, durably, before it returns; ``rows`` gives them in the order
    written.  One writer at a time; a ledger shared between processes refuses a second one.

    Raises:
        LeaseLostError: From ``append``, when another worker owns the job now.
        LedgerError: The rows cannot be read or written.
    """

    def rows(self) -> list[Row]:
        """Every row, oldest first."""
        ...

    def append(self, rows: Sequence[Row]) -> None:
        """Add rows in one transaction."""
        ...


class InMemoryLedger:
    """A ledger that lives as long as its process: for tests and one-off library calls."""

    def __init__(self, rows: Sequence[Row] = ()) -> None:
        """Start with a copy of ``rows``."""
        self._rows = list(rows)

    def rows(self) -> list[Row]:
        """Every row, oldest first; a copy."""
        return list(self._rows)

    def append(self, rows: Sequence[Row]) -> None:
        """Add rows."""
        self._rows.extend(rows)


class JsonLinesLedger:
    """A ledger in one file: one line per transaction, each a JSON list of rows.

    A line is either complete with its newline or it does not count, which makes the append atomic: a tail that
    a crash cut off is dropped when the file is next opened.
    """

    def __init__(self, path: Path) -> None:
        """Open or create the file; its folder must exist.

        Raises:
            LedgerError: A complete line is not a list of rows.
        """
        self._path = path
        self._rows: list[Row] = []
        if path.exists():
            self._read()

    def rows(self) -> list[Row]:
        """Every row, oldest first; a copy."""
        return list(self._rows)

    def append(self, rows: Sequence[Row]) -> None:
        """Add rows as one line, flushed to disk before this returns."""
        line = json.dumps([row_to_json(row) for row in rows], sort_keys=True, allow_nan=False)
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise LedgerError(f"cannot write the ledger {self._path}: {error}") from error
        self._rows.extend(rows)

    def _read(self) -> None:
        content = self._path.read_bytes()
        complete = content[: content.rfind(b"\n") + 1]
        for number, line in enumerate(complete.splitlines(), start=1):
            try:
                self._rows.extend(row_from_json(row) for row in json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise LedgerError(
                    f"{self._path}, line {number}: not a ledger row: {error!r}"
                ) from error
        if len(complete) < len(content):
            os.truncate(self._path, len(complete))


def row_to_json(row: Row) -> dict[str, Json]:
    """Give a row as a flat JSON object, in the words of the HTTP contract; ``row_from_json`` reads it back."""
    place: dict[str, Json] = {
        "phase": row.position.phase,
        "batch": row.position.batch,
        "chunk": row.position.chunk,
    }
    if isinstance(row, DecisionRow):
        return place | {
            "type": "decision",
            "name": row.name,
            "value": dict(row.value),
            "timings": dict(row.timings),
        }
    evaluation = row.evaluation
    return place | {
        "type": "evaluation",
        "mask": evaluation.candidate.genome.bitstring,
        "steps": evaluation.candidate.fidelity,
        "arm": evaluation.candidate.arm.label,
        "replicate": evaluation.candidate.replicate,
        "outcome": evaluation.outcome.value,
        "fitness": evaluation.fitness,
        "loss": evaluation.loss,
        "duration_seconds": evaluation.duration_seconds,
    }


def row_from_json(row: Mapping[str, Any]) -> Row:
    """Read back what ``row_to_json`` wrote.

    Raises:
        KeyError: A field is missing.
        ValueError: A field has a value that no row has.
    """
    position = Position(row["phase"], row["batch"], row["chunk"])
    if row["type"] == "decision":
        return DecisionRow(position, row["name"], row["value"], row["timings"])
    candidate = Candidate(
        Genome.from_bitstring(row["mask"]),
        row["steps"],
        row["replicate"],
        Arm.from_label(row["arm"]),
    )
    evaluation = Evaluation(
        candidate, Outcome(row["outcome"]), row["fitness"], row["duration_seconds"], row["loss"]
    )
    return EvaluationRow(position, evaluation)


def canonical_json(rows: Sequence[Row]) -> str:
    """Give rows as text that is equal for equal searches: sorted keys, one row a line, timings left out."""
    lines = []
    for row in rows:
        fields = row_to_json(row)
        fields.pop("duration_seconds", None)
        fields.pop("timings", None)
        lines.append(json.dumps(fields, sort_keys=True, allow_nan=False))
    return "\n".join(lines)
