"""Weights of a library's networks, delivered so that the library loads them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from models.checkpoints import save_state
from models.family import build_family
from models.inputs import InputFolder
from models.surroundings import Surroundings
from search.decisions import DecisionLog
from search.errors import TransferMaskError
from search.ledger import InMemoryLedger
from service.app import create_app
from service.composition import compose, read_data
from service.model_folder import ModelPackage, write_model_folder, zipped
from service.pipeline import run_search
from service.settings import Settings
from service.spec import SearchSpec
from service.supervisor import Supervisor
from tests.contracts.family_cases import VIT
from tests.models.huggingface.cases import config_of
from tests.service.server_process import QUICK_SPEC

MODEL = {"kind": "transformers", "task": "image_classification", "config": VIT}
PLAN = {"layout": "stacked", "chunks": [1, 4], "threads": 1}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[SearchSpec, Path]:
    """A search over a vision transformer that has come to its end, and its folder."""
    folder = tmp_path_factory.mktemp("vit")
    short = {
        "source": QUICK_SPEC["source"] | {"steps": 5},
        "finetune": {"kind": "full", "steps": 2},
        "budget": {"evaluations": 4},
        "final": QUICK_SPEC["final"] | {"steps": 4},
        "race": {"leaders": 1, "replicates": 2, "full_length_replicates": 0},
    }
    spec = SearchSpec.model_validate(QUICK_SPEC | {"model": MODEL, "plan": PLAN} | short)
    surroundings = Surroundings.of(folder)
    run_search(spec, ledger=InMemoryLedger(), folder=folder, surroundings=surroundings)
    return spec, folder


def test_the_folder_loads_by_from_pretrained_and_says_the_same(
    finished: tuple[SearchSpec, Path],
) -> None:
    from transformers import AutoModelForImageClassification

    spec, folder = finished
    surroundings = Surroundings.of(folder)
    data, family = read_data(spec, surroundings), build_family(spec.model, surroundings)
    inputs = data.test.inputs["x"]
    network = family.build(_shape_of(inputs, len(data.class_names))).eval()
    network.load_state_dict(load_file(folder / "weights.safetensors"))
    loaded = AutoModelForImageClassification.from_pretrained(folder / "model").eval()
    assert loaded.config.id2label == dict(enumerate(data.class_names))
    with torch.no_grad():
        assert torch.equal(loaded(pixel_values=inputs).logits, network(x=inputs))


def test_the_folder_says_how_images_were_prepared(finished: tuple[SearchSpec, Path]) -> None:
    options = json.loads((finished[1] / "model" / "preprocessor_config.json").read_text())
    assert options["size"] == {"height": 8, "width": 8}
    # The digits' levels are from 0 to 1, whatever the model would make of files.
    assert (options["image_mean"], options["image_std"]) == ([0.0], [1.0])
    names = {path.name for path in (finished[1] / "model").iterdir()}
    assert names == {"config.json", "model.safetensors", "preprocessor_config.json"}


def test_the_folder_says_what_the_data_set_s_options_made_of_images(tmp_path: Path) -> None:
    for number in range(15):
        path = tmp_path / "set" / f"c{number % 3}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (9, 9), number).save(path)
    files = {"kind": "image_folder", "path": "set", "size": 12, "mean": [0.2], "deviation": [0.3]}
    document = QUICK_SPEC | {
        "model": MODEL | {"config": config_of("resnet")},
        "dataset": files,
        "source": {"kind": "init"},
        "plan": {"layout": "loop", "threads": 1},
    }
    surroundings = Surroundings(InputFolder(tmp_path), tmp_path / "cache")
    bench = compose(
        SearchSpec.model_validate(document),
        decisions=DecisionLog(InMemoryLedger()),
        folder=tmp_path,
        surroundings=surroundings,
    )
    assert bench.package is not None
    options = json.loads(bench.package.files["preprocessor_config.json"])
    assert options["size"] == {"height": 12, "width": 12}
    assert (options["image_mean"], options["image_std"]) == ([0.2], [0.3])


def _shape_of(inputs: Tensor, n_classes: int) -> Any:
    from models.data.shapes import DataShape

    return DataShape({"x": tuple(inputs.shape[1:])}, n_classes)


@pytest.fixture
def client(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    # Nobody takes the searches.
    monkeypatch.setattr(Supervisor, "_step", lambda *_: None)
    with TestClient(create_app(settings)) as client:
        yield client


def succeeded(client: TestClient, settings: Settings, files: dict[str, bytes]) -> str:
    """A search that is said to have succeeded, with these files in its folder."""
    store = client.app.state.context.store  # type: ignore[attr-defined]
    row = store.create({"name": "", "execution": {"kind": "local"}}, name="", priority=-5)
    search_id = str(row["id"])
    for name, content in files.items():
        path = settings.job_dir(search_id) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    _mark_succeeded(store, search_id)
    return search_id


def _mark_succeeded(store: Any, search_id: str) -> None:
    from sqlalchemy import update

    from service.tables import searches

    with store._engine.begin() as connection:
        changed = connection.execute(
            update(searches).where(searches.c.id == search_id).values(status="succeeded")
        )
    assert changed.rowcount == 1


def test_the_folder_comes_as_a_zip(client: TestClient, settings: Settings) -> None:
    weights = bytes(range(256)) * 8192
    search_id = succeeded(
        client,
        settings,
        {
            "weights.safetensors": weights,
            "model/model.safetensors": weights,
            "model/config.json": b"{}",
        },
    )
    answer = client.get(f"/v1/searches/{search_id}/result/model")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/zip"
    assert f"{search_id}-model.zip" in answer.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["model/config.json", "model/model.safetensors"]
        assert archive.read("model/model.safetensors") == weights


def test_no_folder_no_result_and_no_search_are_told_apart(
    client: TestClient, settings: Settings
) -> None:
    search_id = succeeded(client, settings, {"weights.safetensors": b""})
    answer = client.get(f"/v1/searches/{search_id}/result/model")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_model_folder")
    assert "/result/weights" in answer.json()["detail"]
    answer = client.get("/v1/searches/srch_none/result/model")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    (settings.job_dir(search_id) / "weights.safetensors").unlink()
    answer = client.get(f"/v1/searches/{search_id}/result/model")
    assert (answer.status_code, answer.json()["code"]) == (409, "result_not_ready")


def test_a_folder_that_its_library_reads_otherwise_is_no_delivery(tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    state = {"weight": torch.ones(3, 2)}
    save_state(weights, state)

    def other(folder: Path) -> dict[str, Tensor]:
        return {name: x + 1 for name, x in load_file(folder / "model.safetensors").items()}

    def nothing(folder: Path) -> dict[str, Tensor]:
        raise OSError(f"{folder} has no pytorch_model")

    with pytest.raises(TransferMaskError, match="weight is not what was written"):
        write_model_folder(tmp_path, weights, ModelPackage({"config.json": b"{}"}, other))
    with pytest.raises(TransferMaskError, match="cannot be loaded by its library"):
        write_model_folder(tmp_path, weights, ModelPackage({"config.json": b"{}"}, nothing))
    assert not (tmp_path / "model").exists()
    write_model_folder(tmp_path, weights, ModelPackage({}, nothing))
    assert not (tmp_path / "model").exists()


def test_a_large_folder_is_sent_in_pieces(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(bytes(5 << 20))
    pieces = list(zipped(tmp_path))
    assert max(map(len, pieces)) < 2 << 20
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as archive:
        assert archive.testzip() is None
