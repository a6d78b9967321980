"""The names promised to library users, used as they would."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import transfermask
from search.errors import GenomeLengthError, InvalidInputError
from service.result import SearchResult
from tests.service.server_process import QUICK_SPEC

without_report = pytest.mark.usefixtures("blank_report")
ROOT = Path(__file__).parent.parent
OPTIONS = {
    "budget": {"evaluations": 8},
    "finetune": {"kind": "full", "steps": 3},
    "race": {"leaders": 2, "replicates": 2},
    "final": {"steps": 5, "finalists": 1, "replicates": 2},
    "plan": {"layout": "loop", "threads": 1},
}


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))


def data() -> dict[str, torch.Tensor]:
    stream = torch.Generator().manual_seed(0)
    parts = {}
    for part, size in (("train", 30), ("validation", 30), ("test", 30)):
        parts[f"x_{part}"] = torch.randn(size, 4, generator=stream)
        parts[f"y_{part}"] = torch.arange(size) % 3
    return parts


def test_exactly_the_promised_names_are_public() -> None:
    assert set(transfermask.__all__) == {"Client", "apply_mask", "load_spec", "search"}


def test_own_modules_and_arrays_are_searched_and_resumed(tmp_path: Path) -> None:
    source, target = network(), network()
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    results = [
        transfermask.search(OPTIONS, source=source, target=target, data=data(), folder=tmp_path)
        for _ in range(2)
    ]
    assert results[0].mask == results[1].mask
    assert [gene.name for gene in results[0].genes] == ["0", "2"]
    assert all(torch.equal(before[name], tensor) for name, tensor in target.state_dict().items())
    for name in ("result.json", "report.html", "weights.safetensors", "ledger.jsonl"):
        assert (tmp_path / name).exists()
    assert "<svg" in (tmp_path / "report.html").read_text(encoding="utf-8")


@without_report
@pytest.mark.parametrize("metric", ["balanced_accuracy", "log_loss"])
def test_own_modules_are_searched_by_other_metrics(metric: str, tmp_path: Path) -> None:
    options = OPTIONS | {"fitness": {"metric": metric}}
    result = transfermask.search(
        options, source=network(), target=network(), data=data(), folder=tmp_path
    )
    assert result.test.metric == metric


def test_own_modules_have_no_source_task_to_keep(tmp_path: Path) -> None:
    options = OPTIONS | {"fitness": {"source_retention": {"weight": 0.5}}}
    with pytest.raises(InvalidInputError, match=r"fitness\.source_retention.*own modules"):
        transfermask.search(
            options, source=network(), target=network(), data=data(), folder=tmp_path
        )


@without_report
def test_own_modules_are_measured_in_several_processes_if_these_can_import_them(
    tmp_path: Path,
) -> None:
    class Local(nn.Linear):
        """Known to this function only."""

    options = OPTIONS | {"plan": {"layout": "loop", "threads": 1, "processes": 2}}
    source, target = network(), network()
    folder = tmp_path / "importable"
    result = transfermask.search(options, source=source, target=target, data=data(), folder=folder)
    assert result.provenance.plan["processes"] == 2
    local = nn.Sequential(Local(4, 8), nn.Linear(8, 3))
    with pytest.raises(InvalidInputError, match=r"plan\.processes: 2 given, expected 1 .*Local"):
        transfermask.search(
            options, source=local, target=local, data=data(), folder=tmp_path / "local"
        )


def test_a_spec_alone_is_enough(tmp_path: Path) -> None:
    result = transfermask.search(QUICK_SPEC, folder=tmp_path)
    assert len(result.mask) == 3


@without_report
def test_a_folder_of_another_search_is_refused_and_left_alone(tmp_path: Path) -> None:
    transfermask.search(QUICK_SPEC, folder=tmp_path)
    before = (tmp_path / "ledger.jsonl").read_bytes()
    with pytest.raises(InvalidInputError, match="this very spec"):
        transfermask.search(QUICK_SPEC | {"seed": 1}, folder=tmp_path)
    assert (tmp_path / "ledger.jsonl").read_bytes() == before


@without_report
def test_other_data_in_the_same_folder_are_refused(tmp_path: Path) -> None:
    source, target = network(), network()
    transfermask.search(OPTIONS, source=source, target=target, data=data(), folder=tmp_path)
    changed = data() | {"x_train": torch.zeros(30, 4)}
    with pytest.raises(InvalidInputError, match="this very spec"):
        transfermask.search(OPTIONS, source=source, target=target, data=changed, folder=tmp_path)


def test_a_mask_is_applied_without_changing_either_network() -> None:
    source, target = network(), network()
    grafted = transfermask.apply_mask("01", source=source, target=target)
    assert torch.equal(grafted["0.weight"], source.state_dict()["0.weight"])
    assert torch.equal(grafted["2.weight"], target.state_dict()["2.weight"])
    target.load_state_dict(grafted)


def test_a_mask_of_another_length_is_refused_with_both() -> None:
    with pytest.raises(GenomeLengthError, match="3 bits, the model has 2 genes"):
        transfermask.apply_mask("010", source=network(), target=network())


def test_only_some_of_source_target_and_data_is_an_error() -> None:
    with pytest.raises(InvalidInputError, match="all three or none"):
        transfermask.search({}, source=network())


def test_labels_of_another_length_are_refused_by_name(tmp_path: Path) -> None:
    wrong = data() | {"y_test": torch.zeros(7, dtype=torch.int64)}
    with pytest.raises(InvalidInputError, match=r"data\.y_test: shape \(7,\) given"):
        transfermask.search(
            OPTIONS, source=network(), target=network(), data=wrong, folder=tmp_path
        )


def test_a_wrong_option_is_named() -> None:
    with pytest.raises(InvalidInputError, match=r"optimizer"):
        transfermask.load_spec(QUICK_SPEC | {"optimizer": {"kind": "genetics"}})


def test_the_example_of_own_modules_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    search = transfermask.search

    def small_search(options: dict[str, object], **own: Any) -> SearchResult:
        return search(options | OPTIONS, **own)

    monkeypatch.setattr(transfermask, "search", small_search)
    example = runpy.run_path(str(ROOT / "examples" / "own_modules.py"))
    example["main"](str(tmp_path), evaluations=8)
    assert "test accuracy" in capsys.readouterr().out


@without_report
def test_another_architecture_with_the_same_weights_is_another_search(tmp_path: Path) -> None:
    source, target = network(), network()
    transfermask.search(OPTIONS, source=source, target=target, data=data(), folder=tmp_path)
    tanh = [nn.Sequential(*net) for net in ([*source], [*target])]
    for net in tanh:
        net[1] = nn.Tanh()
    with pytest.raises(InvalidInputError, match="this very spec"):
        transfermask.search(OPTIONS, source=tanh[0], target=tanh[1], data=data(), folder=tmp_path)


@without_report
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_modules_of_other_dtypes_are_searched(dtype: torch.dtype, tmp_path: Path) -> None:
    source, target = network().to(dtype), network().to(dtype)
    options = {key: value for key, value in OPTIONS.items() if key != "plan"}
    result = transfermask.search(
        options, source=source, target=target, data=data(), folder=tmp_path
    )
    assert len(result.mask) == 2


@without_report
def test_an_interrupted_start_of_a_folder_can_be_gone_on_with(tmp_path: Path) -> None:
    transfermask.search(QUICK_SPEC, folder=tmp_path)
    before = (tmp_path / "spec.json").stat().st_mtime_ns
    transfermask.search(QUICK_SPEC, folder=tmp_path)
    assert (tmp_path / "spec.json").stat().st_mtime_ns == before
