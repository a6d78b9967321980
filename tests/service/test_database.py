"""The schema and its migrations."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, inspect
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from service.database import connect, migration_config, open_database
from service.tables import metadata


def test_migrations_build_what_the_tables_say(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_migrations_can_be_undone(engine: Engine) -> None:
    with engine.begin() as connection:
        command.downgrade(migration_config(connection), "base")
        assert inspect(connection).get_table_names() == ["alembic_version"]


def test_two_services_may_start_on_one_new_database_at_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new' / 'database.sqlite'}"
    with ThreadPoolExecutor(4) as pool:
        for engine in pool.map(open_database, [url] * 4):
            assert "searches" in inspect(engine).get_table_names()
            engine.dispose()


def test_every_connection_waits_syncs_and_checks_references(engine: Engine) -> None:
    def pragma(name: str) -> object:
        with engine.connect() as connection:
            return connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()

    found = [pragma(name) for name in ("journal_mode", "synchronous", "foreign_keys")]
    assert found == ["wal", 2, 1]
    assert pragma("busy_timeout") == 10_000


def test_the_tables_can_be_written_in_the_words_of_postgresql() -> None:
    statements = [
        str(CreateTable(table).compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]
        for table in metadata.sorted_tables
    ]
    assert any("DOUBLE PRECISION" in statement for statement in statements)


def test_connecting_alone_changes_no_schema(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'empty.sqlite'}")
    assert inspect(engine).get_table_names() == []
    engine.dispose()
