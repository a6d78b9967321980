"""The database engine and its schema."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

BUSY_TIMEOUT_MILLISECONDS = 10_000
# Any constant that nothing else in the same database locks.
MIGRATION_LOCK = 7_305_822


def open_database(url: str) -> Engine:
    """Connect to the database and bring its schema up to date.

    Safe to call from several processes at once: one migrates, the others wait and find nothing to do.

    Args:
        url: An SQLAlchemy URL, of SQLite or PostgreSQL.  The folder of an SQLite file is created.
    """
    engine = connect(url)
    with engine.begin() as connection:
        _lock(connection)
        command.upgrade(migration_config(connection), "head")
    return engine


def connect(url: str) -> Engine:
    """Give an engine for a database whose schema is up to date already, as a job's child finds it."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed, pool_pre_ping=True)
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed)
    event.listen(engine, "connect", _prepare_sqlite)
    return engine


def migration_config(connection: Connection) -> Config:
    """Point Alembic at the packaged migrations and at one open connection."""
    config = Config()
    config.set_main_option("script_location", "service:migrations")
    config.attributes["connection"] = connection
    return config


def _prepare_sqlite(connection: DBAPIConnection, record: ConnectionPoolEntry) -> None:  # noqa: ARG001
    cursor = connection.cursor()
    # WAL lets the API read while a child appends.
    cursor.execute("PRAGMA journal_mode=WAL")
    # FULL syncs every commit: a measurement is minutes of work, and NORMAL could lose it with the power.
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MILLISECONDS}")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _lock(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
