"""Broken and hostile weights over HTTP: each a clear error at once, and the service goes on."""

from __future__ import annotations

import json
import pickle
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient
from safetensors.torch import save_file

from search.errors import InvalidInputError
from service.app import create_app
from service.composition import read_task
from service.settings import Settings
from service.spec import SearchSpec
from service.supervisor import Supervisor
from tests.models.checkpoints.raw_safetensors import FLOAT, entry, write_raw
from tests.service.server_process import QUICK_SPEC

Write = Callable[[Path], object]


@pytest.fixture
def api(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setattr(Supervisor, "_step", lambda *_: None)
    with TestClient(create_app(settings)) as client:
        yield client


def good(path: Path) -> None:
    save_file({"linear1.weight": torch.zeros(16, 64)}, path)


def truncated(path: Path) -> None:
    good(path)
    path.write_bytes(path.read_bytes()[:-100])


def giant(path: Path) -> None:
    path.write_bytes(struct.pack("<Q", 10**10) + b"{}")
    with path.open("r+b") as file:
        file.truncate(11 * 10**9)  # a hole


def linked(path: Path) -> None:
    good(path.parents[1] / "secret.safetensors")
    path.symlink_to("../secret.safetensors")


def sharded(shard: object) -> Write:
    def write(path: Path) -> None:
        path.mkdir()
        index = {"weight_map": {"linear1.weight": shard}}
        (path / "model.safetensors.index.json").write_text(json.dumps(index))

    return write


def folder_of_links(path: Path) -> None:
    path.mkdir()
    good(path.parents[1] / "secret.safetensors")
    (path / "model.safetensors").symlink_to("../../secret.safetensors")


HOSTILE: dict[str, tuple[Write, str, str]] = {
    # what is written at ``w``, in what came, in what was expected
    "truncated": (truncated, "not fully covered", "safetensors file"),
    "a giant header": (giant, "claims 10,000,000,000 bytes", "safetensors file"),
    "a pickle": (
        lambda p: p.write_bytes(pickle.dumps([1.0] * 50)),
        "w: a pickle",
        "transfermask convert",
    ),
    "a .pth file": (
        lambda p: torch.save({"linear1.weight": 1}, p),
        "(.pth)",
        "transfermask convert",
    ),
    "a name twice": (
        lambda p: write_raw(p, f'{{"a":{FLOAT},"a":{FLOAT}}}'.encode()),
        "a stands twice",
        "safetensors file",
    ),
    "offsets beyond the file": (
        lambda p: write_raw(p, {"linear1.weight": entry(shape=(100,), end=400)}),
        "w: ",
        "safetensors file",
    ),
    "a link out of the data": (linked, "'w'", "leads out of it"),
    "a link in a folder": (folder_of_links, "model.safetensors", "leads out of it"),
    "a shard outside": (sharded("../../secret.safetensors"), "../../secret", "in the folder of"),
    "an absolute shard": (sharded("/etc/passwd"), "/etc/passwd", "in the folder of"),
    "an index of itself": (
        sharded("model.safetensors.index.json"),
        "model.safetensors.index.json",
        "in the folder of",
    ),
    "a missing shard": (sharded("none.safetensors"), "none.safetensors", "an existing file"),
    "an empty folder": (lambda p: p.mkdir(), "a folder without", "one of the two"),
    "quantised": (
        lambda p: save_file({"linear1.weight": torch.zeros(16, 64, dtype=torch.int8)}, p),
        "int8",
        "float32",
    ),
    "another network": (
        lambda p: save_file({"conv.weight": torch.zeros(3)}, p),
        "6 of 6 tensors do not fit",
        "1 unexpected: conv.weight",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_weights_are_refused_at_once_with_field_what_came_and_what_was_expected(
    case: str, api: TestClient, settings: Settings
) -> None:
    write, came, expected = HOSTILE[case]
    write(settings.inputs_dir / "w")
    spec: dict[str, Any] = QUICK_SPEC | {"source": {"kind": "file", "path": "w"}}
    for call in ("/v1/searches", "/v1/genes"):
        response = api.post(call, json=spec)
        assert response.status_code == 422, response.text
        (error,) = response.json()["errors"]
        assert error["field"] == "source.path"
        assert came in error["given"]
        assert expected in error["expected"]
    assert api.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("options", "field", "came"),
    [
        ({"path": "/etc/passwd"}, "source.path", "/etc/passwd"),
        ({"path": "../secret.safetensors"}, "source.path", "../secret"),
        ({"path": "w", "rename": {"a.*": "b"}}, "source.rename", "a.*"),
        ({"path": "w", "rename": {"a.*": "b.*"}}, "source.rename", "a.*"),
        ({"path": "w", "strip_prefixes": "module."}, "source.strip_prefixes", "module."),
    ],
)
def test_options_that_cannot_be_are_refused_by_their_field(
    options: dict[str, Any], field: str, came: str, api: TestClient, settings: Settings
) -> None:
    good(settings.inputs_dir / "w")
    response = api.post("/v1/genes", json=QUICK_SPEC | {"source": {"kind": "file", **options}})
    assert response.status_code == 422, response.text
    (error,) = response.json()["errors"]
    assert error["field"] == field
    assert came in str(error["given"])


def test_weights_that_are_not_finite_end_the_search_by_their_name(settings: Settings) -> None:
    weight = torch.zeros(16, 64)
    weight[3, 4] = torch.nan
    save_file({"linear1.weight": weight}, settings.inputs_dir / "w")
    spec = SearchSpec.model_validate(QUICK_SPEC | {"source": {"kind": "file", "path": "w"}})
    blueprint = read_task(spec, None, settings.surroundings).blueprint
    with pytest.raises(InvalidInputError, match=r"source\.path: w: linear1\.weight with NaN"):
        blueprint.source.load(0)
