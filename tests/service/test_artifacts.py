"""Uploads over the HTTP contract, with a queue that nobody works."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient
from safetensors.torch import save

from models.data.shapes import DataShape
from models.families.mlp import MLPConfig
from models.family import build_family
from models.surroundings import NOTHING
from models.uploads import ArtifactId
from service.app import create_app
from service.artifact_rows import ArtifactRows
from service.database import open_database
from service.settings import Settings
from service.store import SearchStore
from service.supervisor import Supervisor
from tests.models.formats.hostile_files import HOSTILE, X, Y, npz

BINARY = {"Content-Type": "application/octet-stream"}
NETWORK = build_family(MLPConfig(hidden=(4,)), NOTHING).build(DataShape({"x": (2,)}, 2))
CONTENT = save(NETWORK.state_dict())
DATA = npz(x=X.repeat(8, 0), y=Y.repeat(8))


@pytest.fixture
def settings(settings: Settings) -> Settings:
    changes = {
        "max_body_bytes": 5_000,
        "max_artifact_bytes": 100_000,
        "max_artifact_store_bytes": 120_000,
    }
    return settings.model_copy(update=changes)


@pytest.fixture
def api(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setattr(Supervisor, "_step", lambda *_: None)
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


def sent(api: TestClient, content: bytes, name: str = "") -> str:
    response = api.post("/v1/artifacts", content=content, headers=BINARY, params={"name": name})
    assert response.status_code in (200, 201), response.text
    return str(response.json()["id"])


def spec_of(weights: str, data: str) -> dict[str, Any]:
    return {
        "model": {"kind": "mlp", "hidden": [4]},
        "source": {"kind": "artifact", "id": weights},
        "dataset": {"kind": "arrays", "artifact": data},
        "optimizer": {"kind": "random"},
    }


def files_in(settings: Settings) -> list[str]:
    return sorted(path.name for path in settings.uploads_dir.iterdir() if path.name != ".lock")


def test_an_upload_is_known_by_its_content(api: TestClient, settings: Settings) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    first = api.post("/v1/artifacts?name=w.safetensors", content=CONTENT, headers=BINARY)
    again = api.post("/v1/artifacts?name=other", content=CONTENT, headers=BINARY)
    assert (first.status_code, again.status_code) == (201, 200)
    document = first.json()
    assert document == again.json() == api.get(first.headers["Location"]).json()
    assert document["created_at"].endswith("Z")
    wanted: dict[str, Any] = {"id": f"art_{digest}", "sha256": digest, "kind": "safetensors"}
    wanted |= {"name": "w.safetensors", "bytes": len(CONTENT), "n_tensors": 4}
    wanted |= {"n_used_by": 0, "used_by": []}
    assert wanted.items() <= document.items()
    assert {"name": "linear1.weight", "shape": [4, 2], "dtype": "F32"} in document["tensors"]
    assert files_in(settings) == [f"art_{digest}.safetensors"]


def test_uploads_are_listed_page_by_page_newest_first(api: TestClient) -> None:
    ids = [sent(api, npz(x=X + number)) for number in range(3)]
    page = api.get("/v1/artifacts", params={"limit": 2}).json()
    assert ([item["id"] for item in page["data"]], page["has_more"]) == ([ids[2], ids[1]], True)
    rest = api.get("/v1/artifacts", params={"after": ids[1]}).json()
    assert ([item["id"] for item in rest["data"]], rest["has_more"]) == ([ids[0]], False)
    assert api.get("/v1/artifacts", params={"after": "art_0"}).status_code == 404
    assert "tensors" not in page["data"][0], "which may be a thousand each"


def test_a_search_keeps_its_uploads_until_it_is_deleted(
    api: TestClient, settings: Settings
) -> None:
    weights, data = sent(api, CONTENT), sent(api, DATA)
    spec = spec_of(weights, data)
    assert api.post("/v1/genes", json=spec).json()["n_genes"] == 2
    search_id = api.post("/v1/searches", json=spec).json()["id"]
    for artifact_id in (weights, data):
        assert api.get(f"/v1/artifacts/{artifact_id}").json()["used_by"] == [search_id]
        refusal = api.delete(f"/v1/artifacts/{artifact_id}")
        assert (refusal.status_code, refusal.json()["code"]) == (409, "artifact_in_use")
        assert search_id in refusal.json()["detail"]
    api.post(f"/v1/searches/{search_id}/cancel")
    assert api.delete(f"/v1/artifacts/{weights}").status_code == 409, "it is still stored"
    assert api.delete(f"/v1/searches/{search_id}").status_code == 204
    assert api.get(f"/v1/artifacts/{weights}").json()["n_used_by"] == 0
    assert api.delete(f"/v1/artifacts/{weights}").status_code == 204
    assert api.delete(f"/v1/artifacts/{weights}").status_code == 404
    assert files_in(settings) == [f"{data}.npz"]


def test_uploads_deep_in_a_spec_are_kept_too(api: TestClient) -> None:
    data, other = sent(api, DATA), sent(api, npz(x=X.repeat(9, 0), y=Y.repeat(9)))
    spec = spec_of(data, data) | {
        "source": {"kind": "pretrain", "dataset": {"kind": "arrays", "artifact": other}}
    }
    assert api.post("/v1/searches", json=spec).status_code == 202
    assert api.delete(f"/v1/artifacts/{other}").status_code == 409


@pytest.mark.parametrize("field", ["source.id", "dataset.artifact"])
def test_an_unknown_upload_is_refused_by_its_field(api: TestClient, field: str) -> None:
    ids = {"source.id": sent(api, CONTENT), "dataset.artifact": sent(api, DATA)}
    ids[field] = f"art_{'0' * 64}"
    response = api.post("/v1/searches", json=spec_of(*ids.values()))
    assert response.status_code == 422
    (error,) = response.json()["errors"]
    assert (error["field"], error["given"]) == (field, ids[field])
    assert "POST /v1/artifacts" in error["expected"]


def test_an_upload_that_goes_while_its_search_is_made_is_missed(
    api: TestClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, data = sent(api, CONTENT), sent(api, DATA)
    create = SearchStore.create

    def late(store: SearchStore, *arguments: Any, **options: Any) -> Any:
        assert api.delete(f"/v1/artifacts/{weights}").status_code == 204
        return create(store, *arguments, **options)

    monkeypatch.setattr(SearchStore, "create", late)
    response = api.post("/v1/searches", json=spec_of(weights, data))
    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, "source.id")
    assert api.get("/v1/searches").json()["data"] == []


def test_a_search_that_comes_while_its_upload_is_deleted_keeps_it(
    api: TestClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, data = sent(api, CONTENT), sent(api, DATA)
    get = ArtifactRows.get
    searches: list[int] = []

    def outdated(rows: ArtifactRows, artifact_id: str) -> Any:
        row = get(rows, artifact_id)
        if not searches:
            searches.append(0)
            searches[0] = api.post("/v1/searches", json=spec_of(weights, data)).status_code
        return row

    monkeypatch.setattr(ArtifactRows, "get", outdated)
    assert api.delete(f"/v1/artifacts/{weights}").status_code == 409
    assert searches == [202]
    assert f"{weights}.safetensors" in files_in(settings)


@pytest.mark.parametrize("name", ["nothing", "pickle", "NaN weights", "bomb"])
def test_what_is_refused_leaves_nothing_behind(
    api: TestClient, settings: Settings, name: str
) -> None:
    response = api.post("/v1/artifacts", content=HOSTILE[name][0], headers=BINARY)
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "body"
    assert files_in(settings) == []
    assert api.get("/v1/artifacts").json()["data"] == []


def test_uploads_and_specs_have_limits_of_their_own(api: TestClient, settings: Settings) -> None:
    large = npz(x=X.repeat(500, 0))
    assert 5_000 < len(large) < 100_000
    sent(api, large)
    too_large = api.post("/v1/artifacts", content=bytes(100_001), headers=BINARY)
    assert (too_large.status_code, too_large.json()["code"]) == (413, "body_too_large")
    assert "TRANSFERMASK_MAX_ARTIFACT_BYTES" in too_large.json()["detail"]

    def pieces() -> Iterator[bytes]:
        for _ in range(11):
            yield bytes(10_000)

    unannounced = api.post("/v1/artifacts", content=pieces(), headers=BINARY)
    assert (unannounced.status_code, unannounced.json()["code"]) == (413, "body_too_large")
    spec = api.post("/v1/searches", json={"name": "a" * 5_001})
    assert (spec.status_code, spec.json()["code"]) == (413, "body_too_large")
    assert "TRANSFERMASK_MAX_BODY_BYTES" in spec.json()["detail"]
    assert len(files_in(settings)) == 1


def test_the_store_as_a_whole_is_bounded(api: TestClient) -> None:
    first = sent(api, npz(x=X.repeat(1900, 0)))
    second = npz(x=X.repeat(2500, 0))
    refusal = api.post("/v1/artifacts", content=second, headers=BINARY)
    assert (refusal.status_code, refusal.json()["code"]) == (507, "storage_full")
    assert "TRANSFERMASK_MAX_ARTIFACT_STORE_BYTES" in refusal.json()["detail"]
    assert api.delete(f"/v1/artifacts/{first}").status_code == 204
    sent(api, second)


def test_a_form_of_another_web_site_cannot_upload(api: TestClient) -> None:
    response = api.post("/v1/artifacts", content=CONTENT, headers={"Content-Type": "text/plain"})
    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")
    assert "Content-Type: application/octet-stream" in response.json()["detail"]


def test_equal_uploads_at_once_are_one(api: TestClient, settings: Settings) -> None:
    with ThreadPoolExecutor(6) as pool:
        ids = set(pool.map(lambda _: sent(api, CONTENT), range(12)))
    assert files_in(settings) == [f"{ids.pop()}.safetensors"]
    assert not ids


def test_a_file_that_was_lost_comes_back_with_the_next_upload(
    api: TestClient, settings: Settings
) -> None:
    path = settings.uploads_dir / f"{sent(api, CONTENT)}.safetensors"
    path.unlink()
    sent(api, CONTENT)
    assert path.read_bytes() == CONTENT


def test_what_a_dead_process_left_is_put_in_order_at_the_next_start(settings: Settings) -> None:
    folder = settings.uploads_dir
    folder.mkdir(parents=True)
    with TestClient(create_app(settings)) as api:
        known = ArtifactId(sent(api, CONTENT))
    (folder / f"{known}.safetensors").rename(folder / f".limbo-{known}.safetensors")
    (folder / f".limbo-art_{'0' * 64}.npz").touch()
    (folder / ".arriving-0").touch()
    with TestClient(create_app(settings)) as api:
        assert files_in(settings) == [f"{known}.safetensors"]
        assert api.get(f"/v1/artifacts/{known}").status_code == 200


def test_what_another_process_is_receiving_stays(settings: Settings, api: TestClient) -> None:
    uploads = api.app.state.context.uploads  # type: ignore[attr-defined]
    arrival = uploads.receive(None)
    arrival.write(CONTENT)
    with TestClient(create_app(settings)):
        assert len(files_in(settings)) == 1
    artifact_id, is_new = arrival.publish("")
    arrival.close()
    assert is_new
    assert files_in(settings) == [f"{artifact_id}.safetensors"]


def test_a_database_without_rows_deletes_no_published_file(settings: Settings) -> None:
    settings.uploads_dir.mkdir(parents=True)
    orphan = settings.uploads_dir / f"art_{'0' * 64}.npz"
    orphan.touch()
    open_database(settings.sqlalchemy_url).dispose()
    with TestClient(create_app(settings)):
        assert orphan.exists()


def test_the_list_of_tensors_is_bounded(api: TestClient) -> None:
    many = {f"t{number}": torch.zeros(1) for number in range(1002)}
    document = api.get(f"/v1/artifacts/{sent(api, save(many))}").json()
    assert (document["n_tensors"], len(document["tensors"])) == (1002, 1000)
