"""The real service: processes, HTTP, a database file, kill -9."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from safetensors import safe_open

from search.ledger import EvaluationRow, InMemoryLedger, canonical_json
from service.database import connect
from service.errors import ServiceError
from service.pipeline import run_search
from service.spec import SearchSpec
from service.sql_ledger import SqlLedger
from service.store import SearchStore
from tests.service.server_process import QUICK_SPEC, ServerProcess
from tests.service.waiting import wait_until

LONG_SPEC = QUICK_SPEC | {"budget": {"evaluations": 40}, "finetune": {"kind": "full", "steps": 40}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("service")) as server:
        yield server


def keys_of(evaluations: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(row["mask"], row["steps"], row["arm"], row["replicate"]) for row in evaluations]


def measured(server: ServerProcess, search_id: str, count: int) -> Callable[[], bool]:
    return lambda: len(list(server.client.evaluations(search_id))) >= count


def test_a_search_goes_from_its_spec_to_its_result(server: ServerProcess, tmp_path: Path) -> None:
    client = server.client
    search_id = client.submit(QUICK_SPEC)["id"]
    phases = set[str]()

    def listen(search: dict[str, Any]) -> None:
        if search["progress"] is not None:
            phases.add(search["progress"]["phase"])

    search = client.wait(search_id, listen, poll_seconds=0.05)
    assert (search["status"], search["error"]) == ("succeeded", None)
    assert search["stop_reason"]
    assert search["started_at"] < search["finished_at"]
    assert phases
    result = client.result(search_id)
    assert len(result["mask"]) == len(result["genes"]) == 3
    client.save_weights(search_id, tmp_path / "weights.safetensors")
    client.save_weights(search_id, tmp_path / "grafted.safetensors", fine_tuned=False)
    client.save_report(search_id, tmp_path / "report.html")
    with safe_open(tmp_path / "weights.safetensors", "np") as weights:
        names = set(weights.keys())
    assert {name for gene in result["genes"] for name in gene["tensors"]} <= names
    assert "<html" in (tmp_path / "report.html").read_text(encoding="utf-8").lower()
    evaluations = list(client.evaluations(search_id))
    assert len(set(keys_of(evaluations))) == len(evaluations)
    client.delete(search_id)
    with pytest.raises(ServiceError, match="Not found"):
        client.get(search_id)
    assert not server.settings.job_dir(search_id).exists()


@pytest.mark.usefixtures("blank_report")
def test_a_search_survives_the_death_of_its_child_and_of_its_service(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with ServerProcess(data) as server:
        search_id = server.client.submit(LONG_SPEC)["id"]
        wait_until(measured(server, search_id, 3), 60, pause_seconds=0.05)
        server.child().kill()
        before = len(list(server.client.evaluations(search_id)))
        wait_until(measured(server, search_id, before + 3), 60, pause_seconds=0.05)
        orphan = server.child()
        server.end(signal.SIGKILL)
        wait_until(lambda: not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE, 5)
    with ServerProcess(data) as server:
        assert server.client.wait(search_id, poll_seconds=0.1)["status"] == "succeeded"
        survived = list(server.client.evaluations(search_id))
        assert len(set(keys_of(survived))) == len(survived)
    untouched = InMemoryLedger()
    run_search(
        SearchSpec.model_validate(LONG_SPEC),
        ledger=untouched,
        folder=tmp_path / "untouched",
        surroundings=server.settings.surroundings,
    )
    engine = connect(server.settings.sqlalchemy_url)
    rows = SqlLedger(engine, search_id, fencing_token=0).rows()
    engine.dispose()
    assert canonical_json(rows) == canonical_json(untouched.rows())
    assert len(survived) == sum(isinstance(row, EvaluationRow) for row in rows)


def test_a_running_search_is_cancelled_and_its_process_is_gone(server: ServerProcess) -> None:
    search_id = server.client.submit(LONG_SPEC)["id"]
    wait_until(measured(server, search_id, 1), 60, pause_seconds=0.05)
    child = server.child()
    assert server.client.cancel(search_id)["status"] == "cancelling"
    wait_until(lambda: server.client.get(search_id)["status"] == "cancelled", 5)
    assert not child.is_running()
    with pytest.raises(ServiceError) as caught:
        server.client.cancel(search_id)
    assert caught.value.problem.status == 409


def test_a_search_in_two_processes_survives_its_child_whose_workers_die_with_it(
    server: ServerProcess,
) -> None:
    plan = {"layout": "vmap", "chunks": [1, 2], "processes": 2, "threads": 1}
    search_id = server.client.submit(LONG_SPEC | {"plan": plan})["id"]
    wait_until(measured(server, search_id, 4), 120, pause_seconds=0.05)
    child = server.child()
    workers = child.children()
    assert len(workers) == 2
    child.kill()
    wait_until(lambda: not any(worker.is_running() for worker in workers), 10)
    search = server.client.wait(search_id, poll_seconds=0.1)
    assert (search["status"], search["error"]) == ("succeeded", None)
    assert server.client.result(search_id)["provenance"]["plan"]["processes"] == 2
    evaluations = list(server.client.evaluations(search_id))
    assert len(set(keys_of(evaluations))) == len(evaluations)


def test_what_only_the_data_show_fails_the_search_with_a_problem_document(
    server: ServerProcess,
) -> None:
    dataset = QUICK_SPEC["dataset"] | {"train_size": 100_000}
    try:
        search_id = server.client.submit(QUICK_SPEC | {"dataset": dataset})["id"]
    except ServiceError as error:
        problem = error.problem.model_dump(mode="json")
    else:
        search = server.client.wait(search_id, poll_seconds=0.1)
        assert search["status"] == "failed"
        problem = search["error"]
    assert problem["errors"][0]["field"].startswith("dataset")


def test_a_service_that_is_asked_to_end_puts_its_search_back(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with ServerProcess(data) as server:
        search_id = server.client.submit(LONG_SPEC)["id"]
        wait_until(measured(server, search_id, 1), 60, pause_seconds=0.05)
        child = server.child()
        server.end(signal.SIGTERM)
        assert not child.is_running()
    engine = connect(server.settings.sqlalchemy_url)
    assert SearchStore(engine).get(search_id)["status"] == "queued"
    engine.dispose()
