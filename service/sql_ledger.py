"""A job's ledger in SQL: the same promise as the JSON lines, and fenced against a second writer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from search.errors import LeaseLostError, LedgerError
from search.ledger import Row, row_from_json, row_to_json
from service.states import OWNED
from service.tables import ledger_rows, searches

_FIELDS = [column.name for column in ledger_rows.columns if column.name not in ("search_id", "row")]


class SqlLedger:
    """The ledger of one job, held by the worker that claimed it.

    Every append first updates the job's row under the condition that the fencing token is still ours.  That
    update also takes the lock that keeps a second writer waiting, so that check and insert are one.
    """

    def __init__(self, engine: Engine, job_id: str, fencing_token: int) -> None:
        """Bind a claimed job."""
        self._engine, self._job_id, self._token = engine, job_id, fencing_token

    def rows(self) -> list[Row]:
        """Every row, oldest first.

        Raises:
            LedgerError: The database cannot be read.
        """
        query = (
            select(ledger_rows)
            .where(ledger_rows.c.search_id == self._job_id)
            .order_by(ledger_rows.c.row)
        )
        try:
            with self._engine.connect() as connection:
                return [row_from_json(dict(row)) for row in connection.execute(query).mappings()]
        except SQLAlchemyError as error:
            raise LedgerError(f"cannot read the ledger of {self._job_id}: {error}") from error

    def append(self, rows: Sequence[Row]) -> None:
        """Add rows in one transaction.

        Raises:
            LeaseLostError: The job is another worker's now, or finished.
            LedgerError: A key stands in the ledger already, or the database cannot be written.
        """
        if not rows:
            return
        try:
            with self._engine.begin() as connection:
                first = self._reserve(connection, len(rows))
                connection.execute(
                    insert(ledger_rows),
                    [self._values(first + offset, row) for offset, row in enumerate(rows)],
                )
        except IntegrityError as error:
            raise LedgerError(
                f"a key stands in the ledger of {self._job_id} already: {error.orig}"
            ) from error
        except SQLAlchemyError as error:
            raise LedgerError(f"cannot write the ledger of {self._job_id}: {error}") from error

    def _reserve(self, connection: Connection, count: int) -> int:
        """Take the next ``count`` row numbers and give the first."""
        statement = (
            update(searches)
            .where(
                searches.c.id == self._job_id,
                searches.c.fencing_token == self._token,
                searches.c.status.in_(OWNED),
            )
            .values(n_rows=searches.c.n_rows + count)
            .returning(searches.c.n_rows)
        )
        n_rows = connection.execute(statement).scalar_one_or_none()
        if n_rows is None:
            raise LeaseLostError(
                f"{self._job_id} was claimed by another worker or has ended; "
                f"fencing token {self._token} may no longer write"
            )
        return int(n_rows) - count

    def _values(self, number: int, row: Row) -> Mapping[str, Any]:
        # Both types of row in one statement: each names every column.
        fields = row_to_json(row)
        return {"search_id": self._job_id, "row": number} | {
            name: fields.get(name) for name in _FIELDS
        }
