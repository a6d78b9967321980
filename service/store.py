"""What users see of the searches: create, read, list, cancel, delete.  Knows nothing about processes."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from service.artifact_rows import refer
from service.errors import IdempotencyKeyReusedError, ImpossibleTransitionError, NotFoundError
from service.page import Page
from service.states import JobState
from service.tables import ledger_rows, searches

EVALUATION_PREFIX = "eval_"


class SearchStore:
    """The searches of one database."""

    def __init__(self, engine: Engine) -> None:
        """Bind a database whose schema is up to date."""
        self._engine = engine

    def create(
        self,
        spec: Mapping[str, Any],
        *,
        name: str,
        priority: int,
        idempotency_key: str | None = None,
        uploads: Mapping[str, str] | None = None,
    ) -> RowMapping:
        """Queue a search, or give the one that the same key and the same spec made before.

        Args:
            spec: As JSON.
            name: For people.
            priority: Higher runs first.
            idempotency_key: The same key gives the same search.
            uploads: Ids of those that the spec needs, by the field that names them; they cannot be deleted from now on.

        Raises:
            IdempotencyKeyReusedError: The key belongs to another spec.
            InvalidInputError: An upload was deleted meanwhile; names the field.
        """
        digest = hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()
        values = {
            "id": f"srch_{secrets.token_hex(12)}",
            "name": name,
            "status": JobState.QUEUED,
            "spec": dict(spec),
            "priority": priority,
            "idempotency_key": idempotency_key,
            "body_digest": digest,
            "created_at": datetime.now(UTC),
            "fencing_token": 0,
            "n_rows": 0,
            "deaths": 0,
            "n_rows_at_death": 0,
        }
        try:
            with self._engine.begin() as connection:
                statement = insert(searches).values(values).returning(searches)
                row = connection.execute(statement).mappings().one()
                refer(connection, row["id"], uploads or {})
                return row
        except IntegrityError:
            if idempotency_key is None:
                raise
            return self._of_key(idempotency_key, digest)

    def get(self, search_id: str) -> RowMapping:
        """Read one search.

        Raises:
            NotFoundError: There is none with that id.
        """
        with self._engine.connect() as connection:
            return _get(connection, search_id)

    def list(self, status: JobState | None, after: str | None, limit: int) -> Page:
        """Read up to ``limit`` searches, newest first, that are older than the one called ``after``.

        Raises:
            NotFoundError: ``after`` is no search.
        """
        query = select(searches).order_by(searches.c.number.desc()).limit(limit + 1)
        if status is not None:
            query = query.where(searches.c.status == status)
        with self._engine.connect() as connection:
            if after is not None:
                query = query.where(searches.c.number < _get(connection, after)["number"])
            rows = list(connection.execute(query).mappings())
        return Page(rows[:limit], len(rows) > limit)

    def cancel(self, search_id: str) -> RowMapping:
        """Ask for the end of a search: at once while it waits, through its worker while it runs.

        Raises:
            NotFoundError: There is none with that id.
            ImpossibleTransitionError: It has finished, or is being cancelled already.
        """
        waiting = {
            "status": JobState.CANCELLED,
            "stop_reason": JobState.CANCELLED.value,
            "finished_at": datetime.now(UTC),
        }
        steps: tuple[tuple[JobState, dict[str, Any]], ...] = (
            (JobState.QUEUED, waiting),
            (JobState.RUNNING, {"status": JobState.CANCELLING}),
            # Its worker may have put it back between the two.
            (JobState.QUEUED, waiting),
        )
        for state, values in steps:
            statement = (
                update(searches)
                .where(searches.c.id == search_id, searches.c.status == state)
                .values(values)
                .returning(searches)
            )
            with self._engine.begin() as connection:
                row = connection.execute(statement).mappings().one_or_none()
            if row is not None:
                return row
        state = JobState(self.get(search_id)["status"])
        raise ImpossibleTransitionError(search_id, state, JobState.CANCELLED.value)

    def check_deletable(self, search_id: str) -> None:
        """Refuse to delete a search that has not finished; one that has never changes again.

        Raises:
            NotFoundError: There is none with that id.
            ImpossibleTransitionError: It has not finished.
        """
        state = JobState(self.get(search_id)["status"])
        if not state.is_finished:
            raise ImpossibleTransitionError(search_id, state, "deleted; cancel it first")

    def delete(self, search_id: str) -> None:
        """Delete a finished search and, with it, its ledger.

        Raises:
            NotFoundError: There is none with that id.
            ImpossibleTransitionError: It has not finished.
        """
        self.check_deletable(search_id)
        with self._engine.begin() as connection:
            connection.execute(delete(searches).where(searches.c.id == search_id))

    def evaluations(self, search_id: str, after: int, limit: int) -> Page:
        """Read up to ``limit`` evaluations of the ledger, oldest first, behind row number ``after``.

        Raises:
            NotFoundError: There is no search with that id.
        """
        query = (
            select(ledger_rows)
            .where(
                ledger_rows.c.search_id == search_id,
                ledger_rows.c.type == "evaluation",
                ledger_rows.c.row > after,
            )
            .order_by(ledger_rows.c.row)
            .limit(limit + 1)
        )
        with self._engine.connect() as connection:
            _get(connection, search_id)
            rows = list(connection.execute(query).mappings())
        return Page(rows[:limit], len(rows) > limit)

    def check_reachable(self) -> None:
        """Read something, to see that the database answers.

        Raises:
            SQLAlchemyError: It does not.
        """
        with self._engine.connect() as connection:
            connection.execute(select(1))

    def _of_key(self, key: str, digest: str) -> RowMapping:
        query = select(searches).where(searches.c.idempotency_key == key)
        with self._engine.connect() as connection:
            row = connection.execute(query).mappings().one()
        if row["body_digest"] != digest:
            raise IdempotencyKeyReusedError(key, row["id"])
        return row


def _get(connection: Connection, search_id: str) -> RowMapping:
    row = (
        connection.execute(select(searches).where(searches.c.id == search_id))
        .mappings()
        .one_or_none()
    )
    if row is None:
        raise NotFoundError(search_id)
    return row
