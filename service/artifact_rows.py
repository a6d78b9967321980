"""What the database knows of uploads: their rows, and which searches need them.  Knows nothing about files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, Select, delete, func, insert, select
from sqlalchemy.exc import IntegrityError

from models.formats.content import CheckedFile
from models.uploads import unknown_upload
from service.errors import ArtifactInUseError, ArtifactNotFoundError
from service.page import Page
from service.tables import artifacts, search_artifacts, searches

# Of an upload's tensors, and of the searches that need it, so many are told.
MOST_TENSORS, MOST_SEARCHES = 1000, 100


class ArtifactRows:
    """The uploads of one database."""

    def __init__(self, engine: Engine) -> None:
        """Bind a database whose schema is up to date."""
        self._engine = engine

    @contextmanager
    def adding(
        self, artifact_id: str, name: str, n_bytes: int, content: CheckedFile
    ) -> Iterator[None]:
        """Add a row when the block ends well; the caller sees to it that nobody else adds the same."""
        values = {
            "id": artifact_id,
            "kind": content.kind,
            "name": name,
            "bytes": n_bytes,
            "n_tensors": len(content.tensors),
            "tensors": [[*entry] for entry in content.tensors[:MOST_TENSORS]],
            "created_at": datetime.now(UTC),
        }
        with self._engine.begin() as connection:
            connection.execute(insert(artifacts).values(values))
            yield

    @contextmanager
    def deleting(self, artifact_id: str) -> Iterator[None]:
        """Delete a row when the block ends well; no search can begin to need it meanwhile.

        Raises:
            ArtifactNotFoundError: There is none with that id.
            ArtifactInUseError: A search needs it.
        """
        row = self.get(artifact_id)
        try:
            with self._engine.begin() as connection:
                if row["n_used_by"] == 0:
                    connection.execute(delete(artifacts).where(artifacts.c.id == artifact_id))
                    yield
                    return
        except IntegrityError:
            # A search came between the two.
            row = self.get(artifact_id)
        raise ArtifactInUseError(artifact_id, self.used_by(artifact_id), row["n_used_by"])

    def knows(self, artifact_id: str) -> bool:
        """Whether there is a row with that id."""
        with self._engine.connect() as connection:
            query = select(artifacts.c.number).where(artifacts.c.id == artifact_id)
            return connection.execute(query).one_or_none() is not None

    def get(self, artifact_id: str) -> RowMapping:
        """Read one row, with ``n_used_by``, the number of searches that need it.

        Raises:
            ArtifactNotFoundError: There is none with that id.
        """
        with self._engine.connect() as connection:
            return _get(connection, artifact_id)

    def used_by(self, artifact_id: str) -> tuple[str, ...]:
        """Ids of searches that need it, newest first, ``MOST_SEARCHES`` at most."""
        query = (
            select(search_artifacts.c.search_id)
            .join(searches, searches.c.id == search_artifacts.c.search_id)
            .where(search_artifacts.c.artifact_id == artifact_id)
            .order_by(searches.c.number.desc())
            .limit(MOST_SEARCHES)
        )
        with self._engine.connect() as connection:
            return tuple(connection.execute(query).scalars())

    def list(self, after: str | None, limit: int) -> Page:
        """Read up to ``limit`` rows, newest first, that are older than the one called ``after``.

        Raises:
            ArtifactNotFoundError: ``after`` is no upload.
        """
        query = _counted().order_by(artifacts.c.number.desc()).limit(limit + 1)
        with self._engine.connect() as connection:
            if after is not None:
                query = query.where(artifacts.c.number < _get(connection, after)["number"])
            rows = list(connection.execute(query).mappings())
        return Page(rows[:limit], len(rows) > limit)


def refer(connection: Connection, search_id: str, uploads: Mapping[str, str]) -> None:
    """Note which uploads a search needs, in the transaction that creates the search.

    Args:
        connection: Of that transaction, which has written already: SQLite lets nobody else write from then on.
        search_id: The search.
        uploads: Ids by the field of the spec that names them.

    Raises:
        InvalidInputError: One of them was deleted meanwhile; names the field.
    """
    if not uploads:
        return
    wanted: Sequence[str] = sorted(set(uploads.values()))
    # In PostgreSQL the lock on the rows keeps them until this transaction ends.
    query = select(artifacts.c.id).where(artifacts.c.id.in_(wanted))
    found = set(connection.execute(query.with_for_update(read=True, key_share=True)).scalars())
    for field, artifact_id in uploads.items():
        if artifact_id not in found:
            raise unknown_upload(field, artifact_id)
    rows: list[dict[str, Any]] = [
        {"search_id": search_id, "artifact_id": artifact_id} for artifact_id in wanted
    ]
    connection.execute(insert(search_artifacts), rows)


def _counted() -> Select[Any]:
    users = (
        select(func.count())
        .where(search_artifacts.c.artifact_id == artifacts.c.id)
        .scalar_subquery()
    )
    return select(artifacts, users.label("n_used_by"))


def _get(connection: Connection, artifact_id: str) -> RowMapping:
    query = _counted().where(artifacts.c.id == artifact_id)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise ArtifactNotFoundError(artifact_id)
    return row
