"""Searches that seek a gain on the target task while keeping the source task."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from models.checkpoints import State
from models.data.dataset import Examples
from models.data.shapes import DataShape
from models.family import build_family
from models.surroundings import NOTHING, Surroundings
from models.weights.pretrain import PretrainedWeights
from search.errors import InvalidInputError
from search.ledger import InMemoryLedger, canonical_json
from service.composition import check_spec, read_data
from service.pipeline import run_search
from service.result import SearchResult
from service.source_task import read_retention
from service.spec import SearchSpec
from tests.service.server_process import QUICK_SPEC

without_report = pytest.mark.usefixtures("blank_report")
CLASSES = [5, 6, 7, 8, 9]
SOURCE = {"kind": "digits", "classes": CLASSES}
TARGET = SOURCE | {
    "train_size": 60,
    "validation_size": 100,
    "shift": [{"kind": "rotate", "degrees": 90}],
}
FUSED = {"layout": "vmap", "chunks": [1, 2, 4], "threads": 1}


def spec(retention: dict[str, Any] | None, metric: str = "accuracy", **changes: Any) -> SearchSpec:
    fitness = {"metric": metric, "source_retention": retention}
    own = {
        "source": {"kind": "pretrain", "dataset": SOURCE, "steps": 30},
        "dataset": TARGET,
        "fitness": fitness,
        "plan": FUSED,
    }
    return SearchSpec.model_validate(QUICK_SPEC | own | changes)


def run(wanted: SearchSpec, folder: Path, ledger: InMemoryLedger | None = None) -> SearchResult:
    inputs = Surroundings.of(folder)
    return run_search(wanted, ledger=ledger or InMemoryLedger(), folder=folder, surroundings=inputs)


def test_the_result_shows_both_tasks_and_what_they_are_combined_to(tmp_path: Path) -> None:
    wanted = spec({"weight": 0.3}, metric="macro_f1")
    result = run(wanted, tmp_path)
    baselines = [
        result.baselines.keep_all,
        result.baselines.transfer_all,
        result.baselines.best_prefix,
    ]
    for test in (result.test, *(baseline.test for baseline in baselines if baseline is not None)):
        assert test.target is not None
        assert test.source is not None
        assert (test.metric, test.target.metric, test.source.metric) == (
            "combined",
            "macro_f1",
            "accuracy",
        )
        assert (test.target.weight, test.source.weight) == (0.7, 0.3)
        assert test.mean == pytest.approx(0.7 * test.target.mean + 0.3 * test.source.mean)
        assert test.samples == test.target.samples + test.source.samples
    assert "source accuracy" in (tmp_path / "report.html").read_text(encoding="utf-8")


@without_report
def test_the_delivered_weights_have_the_scores_that_are_reported(tmp_path: Path) -> None:
    wanted = spec({"weight": 0.5})
    result = run(wanted, tmp_path)
    data = read_data(wanted, Surroundings.of(tmp_path))
    own = read_retention(wanted, Surroundings.of(tmp_path), data)
    network = build_family(wanted.model, NOTHING).build(DataShape({"x": (1, 8, 8)}, 5)).eval()
    network.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    assert own is not None
    assert result.test.target is not None
    assert result.test.source is not None
    for part, report in ((data.test, result.test.target), (own.test, result.test.source)):
        with torch.no_grad():
            hits = network(**part.inputs).argmax(dim=1) == part.labels
        assert float(hits.double().mean()) == pytest.approx(report.delivered)
        assert report.samples == len(part)


@without_report
def test_the_source_is_never_pretrained_on_what_either_task_judges_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = spec({"weight": 0.5}, dataset=SOURCE | {"train_size": 60, "validation_size": 100})
    data = read_data(wanted, Surroundings.of(tmp_path))
    own = read_retention(wanted, Surroundings.of(tmp_path), data)
    assert own is not None
    seen = list[Examples]()
    train = PretrainedWeights._train

    def remember(source: PretrainedWeights, part: Examples) -> State:
        seen.append(part)
        return train(source, part)

    monkeypatch.setattr(PretrainedWeights, "_train", remember)
    run(wanted, tmp_path)
    judged = {
        image.numpy().tobytes()
        for part in (data.validation, data.test, own.validation, own.test)
        for image in part.inputs["x"]
    }
    assert len(seen) == 1
    assert len(seen[0]) > 0
    assert not judged & {image.numpy().tobytes() for image in seen[0].inputs["x"]}


@without_report
def test_without_weight_nothing_changes(tmp_path: Path) -> None:
    ledgers = [InMemoryLedger(), InMemoryLedger()]
    results = [
        run(spec(retention), tmp_path / str(number), ledger)
        for number, (retention, ledger) in enumerate(
            zip((None, {"weight": 0}), ledgers, strict=True)
        )
    ]
    assert canonical_json(ledgers[0].rows()) == canonical_json(ledgers[1].rows())
    assert results[0].test == results[1].test
    assert results[0].test.source is None


@without_report
def test_a_resumed_search_reads_no_test_part_again(tmp_path: Path) -> None:
    ledger = InMemoryLedger()
    first = run(spec({"weight": 0.5}), tmp_path, ledger)
    before = canonical_json(ledger.rows())
    assert not (tmp_path / "final").exists()
    again = run(spec({"weight": 0.5}), tmp_path, ledger)
    assert again.model_dump(exclude={"seconds"}) == first.model_dump(exclude={"seconds"})
    assert canonical_json(ledger.rows()) == before


@without_report
def test_both_tasks_are_measured_in_several_processes(tmp_path: Path) -> None:
    wanted = spec({"weight": 0.5}, plan=FUSED | {"processes": 2})
    assert run(wanted, tmp_path).test.source is not None


def test_a_source_that_names_no_data_needs_the_data_set(tmp_path: Path) -> None:
    wanted = spec({"weight": 0.5}, source={"kind": "init"})
    with pytest.raises(
        InvalidInputError,
        match=r"fitness\.source_retention\.dataset: null given.* a source of kind init names none",
    ):
        check_spec(wanted, Surroundings.of(tmp_path))
    check_spec(spec({"weight": 0.5, "dataset": SOURCE}), Surroundings.of(tmp_path))


@pytest.mark.parametrize("is_own", [True, False])
def test_another_number_of_classes_is_refused_with_both(is_own: bool, tmp_path: Path) -> None:
    three = {"kind": "digits", "classes": [5, 6, 7]}
    retention: dict[str, Any] = {"weight": 0.5, "dataset": three} if is_own else {"weight": 0.5}
    changes: dict[str, Any] = {} if is_own else {"source": {"kind": "pretrain", "dataset": three}}
    field = r"fitness\.source_retention\.dataset" if is_own else r"source\.dataset"
    with pytest.raises(InvalidInputError, match=f"{field}: 3 classes given, expected 5, as many"):
        check_spec(spec(retention, **changes), Surroundings.of(tmp_path))


def test_inputs_of_another_shape_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", x=np.zeros((50, 3)), y=np.arange(50) % 5)
    retention = {"weight": 0.5, "dataset": {"kind": "arrays", "path": "other.npz"}}
    with pytest.raises(InvalidInputError, match=r"inputs of shape .*\(3,\).* given, expected"):
        check_spec(spec(retention), Surroundings.of(tmp_path))
