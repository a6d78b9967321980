"""A real database file, and jobs in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.database import open_database
from service.queue import Claim, JobQueue
from service.settings import Settings
from service.store import SearchStore

Enqueue = Callable[..., str]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(
        data_dir=tmp_path / "data",
        port=0,
        poll_seconds=0.02,
        heartbeat_seconds=0.1,
        lease_seconds=1.0,
        kill_grace_seconds=1.0,
    )
    settings.create_folders()
    return settings


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    engine = open_database(settings.sqlalchemy_url)
    yield engine
    engine.dispose()


@pytest.fixture
def store(engine: Engine) -> SearchStore:
    return SearchStore(engine)


@pytest.fixture
def queue(engine: Engine, settings: Settings) -> JobQueue:
    return JobQueue(engine, settings.lease_seconds)


@pytest.fixture
def enqueue(store: SearchStore) -> Enqueue:
    def enqueue(name: str = "", priority: int = 0, key: str | None = None) -> str:
        spec = {"name": name, "execution": {"kind": "local"}}
        row = store.create(spec, name=name, priority=priority, idempotency_key=key)
        return str(row["id"])

    return enqueue


@pytest.fixture
def claim(enqueue: Enqueue, queue: JobQueue) -> Claim:
    enqueue()
    claim = queue.claim("host:1:test")
    assert claim is not None
    return claim
