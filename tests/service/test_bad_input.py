"""Every kind of bad input is refused at POST with the field, what came and what was expected."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from safetensors.torch import save_file

from service.app import create_app
from service.settings import Settings
from service.supervisor import Supervisor

ROOT = Path(__file__).parents[2]
SPEC: dict[str, Any] = json.loads((ROOT / "examples" / "digits.json").read_text(encoding="utf-8"))
DIGITS: dict[str, Any] = SPEC["dataset"]
FULL: dict[str, Any] = {"kind": "full"}


@pytest.fixture
def api(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setattr(Supervisor, "_step", lambda *_: None)
    _write_inputs(settings.inputs_dir)
    with TestClient(create_app(settings)) as client:
        yield client


def _write_inputs(folder: Path) -> None:
    x, y = np.zeros((90, 1, 8, 8), np.float32), np.arange(90) % 5
    np.savez(folder / "good.npz", x=x, y=y)
    np.savez(folder / "pickled.npz", x=np.array([{"a": 1}] * 90, dtype=object), y=y)
    np.savez(folder / "lengths.npz", x=x, y=y[:-1])
    (folder / "truncated.npz").write_bytes((folder / "good.npz").read_bytes()[:200])
    (folder / "pickle.npz").write_bytes(b"\x80\x04\x95\x0b\x00\x00\x00")
    with zipfile.ZipFile(folder / "empty.npz", "w"):
        pass
    (folder / "outside.npz").symlink_to("/etc/passwd")
    save_file({"conv1.weight": torch.zeros(3, 3)}, folder / "shape.safetensors")
    (folder / "pickle.safetensors").write_bytes(b"\x80\x04\x95\x0b\x00\x00\x00garbage")
    (folder / "truncated.safetensors").write_bytes((folder / "shape.safetensors").read_bytes()[:30])


def arrays(path: str, **options: Any) -> dict[str, Any]:
    return {"dataset": {"kind": "arrays", "path": path, **options}}


def phases(*options: dict[str, Any]) -> dict[str, Any]:
    return {"finetune": {"kind": "phases", "phases": options}}


def source(path: str) -> dict[str, Any]:
    return {"source": {"kind": "file", "path": path}}


BAD: list[tuple[str, dict[str, Any], str, str, str]] = [
    # name, changes to the example, field, in what came, in what was expected
    ("unknown kind", {"optimizer": {"kind": "genetics"}}, "optimizer.kind", "genetics", "genetic"),
    ("wrong option", {"model": {"kind": "small_cnn", "width": 0}}, "model.width", "0", "1"),
    ("wrong type", {"budget": {"evaluations": "many"}}, "budget.evaluations", "many", "integer"),
    (
        "misspelt key",
        {"optimizer": {"kind": "genetic", "populaton_size": 8}},
        "optimizer.populaton_size",
        "8",
        "population_size",
    ),
    ("misspelt block", {"budgett": {"evaluations": 8}}, "budgett", "evaluations", "budget"),
    ("budget 0", {"budget": {"evaluations": 0}}, "budget.evaluations", "0", "1"),
    ("seconds 0", {"budget": {"seconds": 0}}, "budget.seconds", "0", "0"),
    (
        "train_size larger than the data",
        {"dataset": DIGITS | {"train_size": 5000}},
        "dataset.train_size",
        "5000",
        "896",
    ),
    ("pickled objects", arrays("pickled.npz"), "dataset.path", "pickled objects", "plain numbers"),
    ("a pickle", arrays("pickle.npz"), "dataset.path", "pickle.npz: a pickle", "numpy.savez"),
    ("a truncated npz", arrays("truncated.npz"), "dataset.path", "truncated.npz", "npz"),
    ("an empty npz", arrays("empty.npz"), "dataset.path", "[]", "x and y"),
    ("x and y of two lengths", arrays("lengths.npz"), "dataset.path", "(89,)", "(90,)"),
    ("no such file", arrays("none.npz"), "dataset.path", "none.npz", "existing file"),
    ("a path that climbs out", arrays("../../etc/passwd"), "dataset.path", "../..", "leads out"),
    ("an absolute path", arrays("/etc/passwd"), "dataset.path", "/etc/passwd", "relative"),
    ("a link that leads out", arrays("outside.npz"), "dataset.path", "outside.npz", "leads out"),
    (
        "a source of another shape",
        source("shape.safetensors"),
        "source.path",
        "(3, 3)",
        "(16, 1, 3, 3)",
    ),
    ("a pickle as weights", source("pickle.safetensors"), "source.path", "pickle", "safetensors"),
    (
        "truncated weights",
        source("truncated.safetensors"),
        "source.path",
        "truncated",
        "safetensors",
    ),
    (
        "no transferable gene",
        {"genome": {"keep": ["*"]}},
        "genome",
        "no transferable gene",
        "at least one",
    ),
    (
        "a pattern without a match",
        {"genome": {"keep": ["conf1.*"]}},
        "genome.keep",
        "conf1",
        "conv1",
    ),
    (
        "exhaustive over too many masks",
        {"optimizer": {"kind": "exhaustive"}},
        "budget.evaluations",
        "200",
        "512",
    ),
    (
        "images too small for the network",
        {"model": {"kind": "resnet_cifar", "depth": 21}},
        "model.depth",
        "21",
        "20",
    ),
    ("one replicate in the final", {"final": {"replicates": 1}}, "final.replicates", "1", "2"),
    (
        "a learning rate of 0",
        {"finetune": {"kind": "full", "learning_rate": 0}},
        "finetune",
        "0",
        "0",
    ),
    ("no phases", phases(), "finetune.phases", "[]", "at least 1"),
    (
        "phases inside phases",
        phases({"kind": "phases", "phases": [FULL]}),
        "finetune.phases.0.kind",
        "phases",
        "one of: distill, full",
    ),
    (
        "a wrong option inside a phase",
        phases(FULL, FULL | {"step": 3}),
        "finetune.phases.1.step",
        "3",
        "did you mean 'steps'?",
    ),
    (
        "an optimizer that is none inside a phase",
        phases(FULL, FULL | {"optimizer": {"kind": "adan"}}),
        "finetune.phases.1.optimizer.kind",
        "adan",
        "did you mean 'adam'?",
    ),
    (
        "a phase for layers that the network lacks",
        phases(FULL, FULL | {"dropout": 0.1}),
        "finetune.phases.1.dropout",
        "0.1",
        "no dropout layer",
    ),
    (
        "several rates in a later phase",
        phases(FULL, FULL | {"learning_rate": [0.1, 0.01]}),
        "finetune",
        "0.01",
        "only the first phase",
    ),
    (
        "an augmentation that is none",
        {"finetune": FULL | {"augmentation": [{"kind": "flip"}, {"kind": "noise", "std": 1}]}},
        "finetune.augmentation.1.std",
        "1",
        "standard_deviation",
    ),
    (
        "augmentations that are no list",
        {"finetune": FULL | {"augmentation": {"kind": "flip"}}},
        "finetune.augmentation",
        "flip",
        "a list",
    ),
    (
        "shifts larger than the images",
        {"finetune": FULL | {"augmentation": [{"kind": "shifted_crop", "pixels": 8}]}},
        "finetune.augmentation",
        "8",
        "8 x 8",
    ),
    (
        "class weights of another number",
        {"finetune": FULL | {"loss": {"kind": "mse", "class_weights": [1, 2]}}},
        "finetune.loss.class_weights",
        "2",
        "5",
    ),
    (
        "statistics that the network lacks",
        {"finetune": FULL | {"batch_norm": {"reestimate": "after"}}},
        "finetune.batch_norm",
        "after",
        "no running statistics",
    ),
    (
        "one rate to choose from",
        {"finetune": FULL | {"learning_rate_per_candidate": True}},
        "finetune",
        "learning_rate_per_candidate",
        "2 to 10",
    ),
    (
        "a source with another head as a teacher",
        {
            "finetune": {"kind": "distill", "teacher": "source"},
            "source": SPEC["source"] | {"dataset": {"kind": "digits", "classes": [0, 1]}},
        },
        "finetune.teacher",
        "(2, 64)",
        "transfer_all",
    ),
    ("a plan that cannot be", {"plan": {"layout": "loop", "chunks": [1, 4]}}, "plan", "4", "[1]"),
    (
        "a source that is redrawn",
        {"source": {"kind": "init", "redraw": True}},
        "source.redraw",
        "",
        "target",
    ),
]


@pytest.mark.parametrize(
    ("changes", "field", "came", "expected"),
    [case[1:] for case in BAD],
    ids=[case[0] for case in BAD],
)
def test_bad_input_is_refused_at_once_with_field_what_came_and_what_was_expected(
    api: TestClient, changes: dict[str, Any], field: str, came: str, expected: str
) -> None:
    response = api.post("/v1/searches", json=SPEC | changes)
    assert response.status_code == 422, response.text
    assert response.headers["Content-Type"] == "application/problem+json"
    (error,) = response.json()["errors"][:1]
    assert error["field"].startswith(field)
    assert came in str(error["given"])
    assert expected in error["expected"]
    assert api.get("/v1/searches").json()["data"] == []


def test_every_wrong_field_is_named_at_once(api: TestClient) -> None:
    changes = {"budget": {"evaluations": 0}, "race": {"leaders": 0}, "seed": -1}
    errors = api.post("/v1/searches", json=SPEC | changes).json()["errors"]
    assert {error["field"] for error in errors} == {"budget.evaluations", "race.leaders", "seed"}


def test_good_arrays_are_accepted(api: TestClient) -> None:
    changes = arrays("good.npz", train_size=40, validation_size=20)
    assert api.post("/v1/searches", json=SPEC | changes).status_code == 202


@pytest.mark.parametrize("value", ["1e400", "-1e400", "NaN"])
def test_numbers_that_are_not_finite_are_refused(api: TestClient, value: str) -> None:
    body = json.dumps(SPEC | {"budget": {"seconds": 0.5}}).replace("0.5", value, 1)
    response = api.post("/v1/searches", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 422


def test_a_deeply_nested_body_is_an_ordinary_refusal(api: TestClient) -> None:
    nested = "[" * 900 + "]" * 900
    body = json.dumps(SPEC | {"name": "x"}).replace('"x"', nested, 1)
    response = api.post("/v1/searches", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code in (400, 422)
    assert response.headers["Content-Type"] == "application/problem+json"
