"""The HTTP contract, with real specs and a queue that nobody works."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine

from search.ledger import DecisionRow, Position
from service.app import create_app
from service.queue import JobQueue
from service.settings import Settings
from service.sql_ledger import SqlLedger
from service.store import SearchStore
from service.supervisor import Supervisor
from tests.search.ledger_suite import evaluation_row

SPEC: dict[str, Any] = json.loads(
    (Path(__file__).parents[2] / "examples" / "digits.json").read_text(encoding="utf-8")
)
JSON = {"Content-Type": "application/json"}
PROBLEM = "application/problem+json"


@pytest.fixture
def api(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setattr(Supervisor, "_step", lambda *_: None)
    settings = settings.model_copy(update={"max_body_bytes": 20_000})
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


def post(api: TestClient, **changes: Any) -> dict[str, Any]:
    response = api.post("/v1/searches", json=SPEC | changes)
    assert response.status_code == 202, response.text
    document: dict[str, Any] = response.json()
    return document


def test_a_search_is_accepted_and_found_where_location_says(api: TestClient) -> None:
    response = api.post("/v1/searches", json=SPEC)
    assert response.status_code == 202
    search = response.json()
    assert search["id"].startswith("srch_")
    assert (search["status"], search["name"], search["progress"]) == ("queued", SPEC["name"], None)
    assert search["created_at"].endswith("Z")
    assert search["spec"]["optimizer"]["parents"] == 12, "defaults are filled in"
    assert api.get(response.headers["Location"]).json() == search


def test_one_idempotency_key_gives_one_search(api: TestClient) -> None:
    headers = {"Idempotency-Key": "monday"}
    first = api.post("/v1/searches", json=SPEC, headers=headers)
    again = api.post("/v1/searches", json=SPEC, headers=headers)
    other = api.post("/v1/searches", json=SPEC | {"seed": 1}, headers=headers)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert len(api.get("/v1/searches").json()["data"]) == 1


def test_lists_go_page_by_page_and_by_status(api: TestClient) -> None:
    ids = [post(api)["id"] for _ in range(3)]
    first = api.get("/v1/searches", params={"limit": 2}).json()
    assert [search["id"] for search in first["data"]] == [ids[2], ids[1]]
    assert first["has_more"] is True
    rest = api.get("/v1/searches", params={"limit": 2, "after": ids[1]}).json()
    assert ([search["id"] for search in rest["data"]], rest["has_more"]) == ([ids[0]], False)
    assert api.get("/v1/searches", params={"status": "failed"}).json()["data"] == []


def test_a_waiting_search_is_cancelled_once_and_then_deleted(
    api: TestClient, settings: Settings
) -> None:
    search_id = post(api)["id"]
    assert api.delete(f"/v1/searches/{search_id}").status_code == 409
    cancelled = api.post(f"/v1/searches/{search_id}/cancel").json()
    assert (cancelled["status"], cancelled["stop_reason"]) == ("cancelled", "cancelled")
    again = api.post(f"/v1/searches/{search_id}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "impossible_transition")
    settings.job_dir(search_id).mkdir()
    assert api.delete(f"/v1/searches/{search_id}").status_code == 204
    assert not settings.job_dir(search_id).exists()
    assert api.get(f"/v1/searches/{search_id}").status_code == 404


def test_evaluations_come_page_by_page_without_the_decisions(
    api: TestClient, engine: Engine, queue: JobQueue
) -> None:
    path = f"/v1/searches/{post(api)['id']}/evaluations"
    claim = queue.claim("host:1:test")
    assert claim is not None
    ledger = SqlLedger(engine, claim.job_id, claim.fencing_token)
    ledger.append([DecisionRow(Position("preparing"), "plan", {}), evaluation_row("01")])
    ledger.append([evaluation_row("10", fitness=None), evaluation_row("11")])
    first = api.get(path, params={"limit": 2}).json()
    assert first["has_more"] is True
    assert first["data"][0] == {
        "id": "eval_1",
        "phase": "search",
        "batch": 3,
        "chunk": 0,
        "mask": "01",
        "steps": 40,
        "arm": f"learning_rate={1 / 3000!r}",
        "replicate": 2,
        "outcome": "measured",
        "fitness": 0.5,
        "loss": 1 / 7,
    }
    rest = api.get(path, params={"after": first["data"][-1]["id"]}).json()
    assert [row["mask"] for row in rest["data"]] == ["11"]
    assert rest["has_more"] is False
    assert api.get(path, params={"after": "11"}).status_code == 422


def test_progress_and_the_best_mask_are_shown(api: TestClient, queue: JobQueue) -> None:
    search_id = post(api)["id"]
    claim = queue.claim("host:1:test")
    assert claim is not None
    progress = {
        "phase": "search",
        "evaluations": 7,
        "budget": 200,
        "fraction": 0.1,
        "generation": 1,
        "best_fitness": 0.5,
        "seconds": 2.0,
        "eta_seconds": None,
        "message": "transfer-all is clearly ahead",
    }
    queue.write_progress(claim, progress | {"best_mask": "0110"})
    search = api.get(f"/v1/searches/{search_id}").json()
    assert search["progress"] == progress
    assert search["best"] == {"mask": "0110", "fitness": 0.5}
    assert search["status"] == "running"


@pytest.mark.parametrize("artifact", ["", "/weights", "/weights?fine_tuned=false", "/report"])
def test_there_is_no_result_before_there_is_one(api: TestClient, artifact: str) -> None:
    response = api.get(f"/v1/searches/{post(api)['id']}/result{artifact}")
    assert (response.status_code, response.json()["code"]) == (409, "result_not_ready")


def test_artifacts_of_a_search_that_succeeded_are_served(
    api: TestClient, queue: JobQueue, settings: Settings
) -> None:
    search_id = post(api)["id"]
    claim = queue.claim("host:1:test")
    assert claim is not None
    folder = settings.job_dir(search_id)
    folder.mkdir()
    names = {"weights": "weights.safetensors", "weights?fine_tuned=false": "grafted.safetensors"}
    for name in (*names.values(), "report.html"):
        (folder / name).write_text(name, encoding="utf-8")
    queue.succeed(claim, {}, "exhausted")
    for path, name in (names | {"report": "report.html"}).items():
        response = api.get(f"/v1/searches/{search_id}/result/{path}")
        assert (response.status_code, response.text) == (200, name)
    assert response.headers["Content-Type"].startswith("text/html")


def test_genes_are_shown_without_running_anything(api: TestClient) -> None:
    genes = api.post("/v1/genes", json=SPEC).json()["genes"]
    assert len(genes) == 9
    assert api.get("/v1/searches").json()["data"] == []


def test_plugins_come_with_their_schemas(api: TestClient) -> None:
    plugins = api.get("/v1/plugins").json()
    recipes = {"finetune", "training_optimizer", "schedule", "loss", "augmentation"}
    others = {"model", "weights", "dataset", "optimizer", "metric", "execution"}
    assert set(plugins) == recipes | others
    assert {"adam", "sgd"} <= {plugin["kind"] for plugin in plugins["training_optimizer"]}
    (cosine,) = (plugin for plugin in plugins["schedule"] if plugin["kind"] == "cosine")
    assert "warm_up" in cosine["options"]["properties"]
    genetic = next(plugin for plugin in plugins["optimizer"] if plugin["kind"] == "genetic")
    assert "population_size" in genetic["options"]["properties"]
    assert all(plugin["description"] for family in plugins.values() for plugin in family)


def test_the_service_says_that_it_lives_and_works(
    api: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert api.get("/healthz").json() == {"status": "ok"}
    assert api.get("/readyz").status_code == 200
    monkeypatch.setattr(Supervisor, "is_alive", False)
    response = api.get("/readyz")
    assert (response.status_code, response.json()["code"]) == (503, "not_ready")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"model": ', 400, "malformed_body"),
        (b"\xff\xfe", 400, "malformed_body"),
        (b"[" * 10_000, 400, "malformed_body"),
        (b" " * 30_000, 413, "body_too_large"),
        (b"[]", 422, "invalid_input"),
        (b"", 422, "invalid_input"),
        (json.dumps(SPEC | {"name": "\ud800"}).encode(), 422, "invalid_input"),
        (json.dumps(SPEC | {"name": "\x00"}).encode(), 422, "invalid_input"),
        (json.dumps(SPEC | {"seed": float("nan")}).encode(), 422, "invalid_input"),
        (json.dumps(SPEC | {"optimizer": {"kind": "?"}}).encode(), 422, "unknown_plugin"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/searches", "/v1/genes"])
def test_a_bad_body_is_refused_with_a_problem_document(
    api: TestClient, path: str, body: bytes, status: int, code: str
) -> None:
    response = api.post(path, content=body, headers=JSON)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["Content-Type"] == PROBLEM
    assert set(response.json()) == {"type", "title", "status", "detail", "code", "errors"}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"model": ', "Expecting value at character 10"),
        (b'{"name": "caf\xe9"}', "'utf-8' codec can't decode byte 0xe9 in position 13"),
        (b"[" * 10_000, "it is nested too deeply"),
        (b"9" * 10_000, "Exceeds the limit (4300 digits)"),
    ],
)
def test_a_body_that_is_no_json_is_told_why(api: TestClient, body: bytes, reason: str) -> None:
    detail = api.post("/v1/searches", content=body, headers=JSON).json()["detail"]
    assert "the body is not JSON" in detail
    assert reason in detail
    assert "sys." not in detail


def test_a_large_body_of_unknown_length_is_refused_too(api: TestClient) -> None:
    pieces = (b" " * 1000 for _ in range(30))
    response = api.post("/v1/searches", content=pieces, headers=JSON)
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


def test_what_only_the_networks_show_is_a_field_problem_too(api: TestClient) -> None:
    genome = {"granularity": "layer", "keep": ["no.such.*"], "transfer": [], "groups": None}
    response = api.post("/v1/searches", json=SPEC | {"genome": genome})
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"].startswith("genome.keep")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v2/searches", 404, "not_found"),
        ("GET", "/v1/searches/srch_none", 404, "not_found"),
        ("GET", "/v1/searches/srch_none/evaluations", 404, "not_found"),
        ("GET", "/v1/searches/srch_none/result", 404, "not_found"),
        ("GET", "/v1/searches/srch_none/result/weights", 404, "not_found"),
        ("POST", "/v1/searches/srch_none/cancel", 404, "not_found"),
        ("DELETE", "/v1/searches/srch_none", 404, "not_found"),
        ("GET", "/v1/searches?after=srch_none", 404, "not_found"),
        ("GET", "/v1/searches?limit=0", 422, "invalid_input"),
        ("GET", "/v1/searches?status=lost", 422, "invalid_input"),
        ("GET", "/v1/searches/srch_x/result/weights?fine_tuned=maybe", 422, "invalid_input"),
        ("PUT", "/v1/searches", 405, "method_not_allowed"),
        ("POST", "/v1/searches", 422, "invalid_input"),
    ],
)
def test_every_other_refusal_is_a_problem_document(
    api: TestClient, method: str, path: str, status: int, code: str
) -> None:
    response = api.request(method, path)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["Content-Type"] == PROBLEM
    assert response.json()["status"] == status


def test_a_body_that_is_not_said_to_be_json_is_refused(api: TestClient) -> None:
    response = api.post("/v1/searches", content=b"{}", headers={"Content-Type": "text/plain"})
    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")


def test_all_methods_of_a_path_are_offered(api: TestClient) -> None:
    assert api.put("/v1/searches").headers["Allow"] == "GET, POST"
    assert api.put("/v1/searches/srch_x").headers["Allow"] == "DELETE, GET"


def test_a_crash_is_a_problem_document_and_gives_nothing_away(
    api: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(self: SearchStore, search_id: str) -> None:
        raise RuntimeError("the database password is 1234")

    monkeypatch.setattr(SearchStore, "get", crash)
    response = api.get("/v1/searches/srch_x")
    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert "1234" not in response.text


def test_the_published_description_declares_its_problems(api: TestClient) -> None:
    document = api.get("/openapi.json").json()
    assert "Problem" in document["components"]["schemas"]
    assert "HTTPValidationError" not in document["components"]["schemas"]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert list(response["content"]) == [PROBLEM], path
    created = document["paths"]["/v1/searches"]["post"]["responses"]
    assert set(created) == {"202", "400", "413", "415", "422"}
    text = json.dumps(document)
    for reference in set(text.split('"$ref": "#/components/schemas/')[1:]):
        assert reference.partition('"')[0] in document["components"]["schemas"]
