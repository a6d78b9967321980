"""The tables: searches, which are also the queue, their ledgers, and uploads.

Valid for SQLite and PostgreSQL alike.  The migrations build the same; a test compares the two.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

metadata = MetaData(naming_convention=NAMING)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC, aware on both sides; SQLite itself would forget the zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Turn any aware moment into UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Read back an aware moment."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


searches = Table(
    "searches",
    metadata,
    # Creation order: the list's order and the queue's, which no clock can disturb.
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", String(40), nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("spec", JSON, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("idempotency_key", String(255), unique=True),
    Column("body_digest", String(64), nullable=False),
    Column("progress", JSON(none_as_null=True)),
    Column("result", JSON(none_as_null=True)),
    Column("error", JSON(none_as_null=True)),
    Column("stop_reason", String(64)),
    Column("created_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    # The lease.  The token grows at every claim; a writer with an older one is refused.
    Column("owner", String(255)),
    Column("fencing_token", Integer, nullable=False),
    Column("lease_expires_at", UtcDateTime),
    # Deaths of the child since the ledger last grew.
    Column("n_rows", Integer, nullable=False),
    Column("deaths", Integer, nullable=False),
    Column("n_rows_at_death", Integer, nullable=False),
    Index(None, "status", "priority", "number"),
    sqlite_autoincrement=True,
)

ledger_rows = Table(
    "ledger_rows",
    metadata,
    Column(
        "search_id",
        String(40),
        ForeignKey("searches.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("row", Integer, primary_key=True, autoincrement=False),
    Column("type", String(16), nullable=False),
    Column("phase", String(32), nullable=False),
    Column("batch", Integer, nullable=False),
    Column("chunk", Integer, nullable=False),
    # An evaluation's; null for a decision.
    Column("mask", Text),
    Column("steps", Integer),
    Column("arm", String(255)),
    Column("replicate", Integer),
    Column("outcome", String(32)),
    Column("fitness", Double),
    Column("loss", Double),
    Column("duration_seconds", Double),
    # A decision's; null for an evaluation.
    Column("name", String(64)),
    Column("value", JSON(none_as_null=True)),
    Column("timings", JSON(none_as_null=True)),
    # Nulls are distinct in both databases, so that each constraint binds its own type of row only.
    UniqueConstraint("search_id", "mask", "steps", "arm", "replicate"),
    UniqueConstraint("search_id", "phase", "batch", "chunk", "name"),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", String(80), nullable=False, unique=True),
    Column("kind", String(16), nullable=False),
    Column("name", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("n_tensors", Integer, nullable=False),
    # The first of them, with shapes and types.
    Column("tensors", JSON, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    sqlite_autoincrement=True,
)

# Which searches need which upload: an upload cannot be deleted while a row here names it.
search_artifacts = Table(
    "search_artifacts",
    metadata,
    Column(
        "search_id",
        String(40),
        ForeignKey("searches.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("artifact_id", String(80), ForeignKey("artifacts.id"), primary_key=True),
    Index(None, "artifact_id"),
)
