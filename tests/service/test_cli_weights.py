"""The commands about weights: convert, apply, and what genes says of checkpoints."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient
from safetensors.torch import load_file, save_file

from models.checkpoints import State, save_state
from search.errors import InvalidInputError, TransferMaskError
from service import cost
from service.app import create_app
from service.cli import main
from service.grafting import write_grafted
from service.library import search_in_folder
from service.settings import Settings
from service.spec import SearchSpec
from service.supervisor import Supervisor
from tests.service.server_process import QUICK_SPEC

SHAPES = {"linear1": (16, 64), "linear2": (16, 16), "linear3": (5, 16)}


def network_state(**shapes: tuple[int, int]) -> State:
    """Random weights for the network of ``QUICK_SPEC``."""
    state: State = {}
    for name, shape in (SHAPES | shapes).items():
        state |= {f"{name}.weight": torch.randn(shape), f"{name}.bias": torch.randn(shape[0])}
    return state


def run_here(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    """Run a command in this process, which has torch already; any exception but the exit fails the test."""
    monkeypatch.setattr(sys, "argv", ["transfermask", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def spec_with(source: dict[str, Any]) -> dict[str, Any]:
    return QUICK_SPEC | {"source": source}


def test_a_pth_file_is_converted_and_used_as_a_source(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    state = network_state(linear3=(10, 16))
    wrapped = {f"module.{name}": tensor.half() for name, tensor in state.items()}
    pth = settings.data_dir / "old.pth"
    torch.save({"state_dict": wrapped, "optimizer": {"lr": 1.0}}, pth)
    output = settings.inputs_dir / "new.safetensors"
    assert run_here(monkeypatch, "convert", str(pth), str(output)) == 0
    assert capsys.readouterr().out.splitlines() == [
        "took what stands under 'state_dict'",
        "left out optimizer",
        f"{output}: 6 tensors",
    ]
    assert run_here(monkeypatch, "convert", str(pth), str(output)) == 2
    assert "--force" in capsys.readouterr().err
    assert run_here(monkeypatch, "convert", str(pth), str(output), "--force") == 0

    monkeypatch.setenv("TRANSFERMASK_DATA_DIR", str(settings.data_dir))
    spec = settings.data_dir / "spec.json"
    spec.write_text(json.dumps(spec_with({"kind": "file", "path": "new.safetensors"})))
    monkeypatch.setenv("COLUMNS", "200")
    capsys.readouterr()
    assert run_here(monkeypatch, "genes", str(spec)) == 0
    shown = capsys.readouterr().out
    assert "2 genes" in shown
    assert (
        "source: new.safetensors: 4 of 6 tensors matched; stripped 'module.'; converted 6 from float16 to float32"
        in shown
    )
    assert (
        "  2 of another shape: linear3.weight (10, 16) instead of (5, 16), linear3.bias (10,) instead of (5,)"
        in shown
    )


def test_apply_writes_what_the_search_delivers_before_fine_tuning(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrapped = {f"module.{name}": tensor for name, tensor in network_state().items()}
    save_file(wrapped, settings.inputs_dir / "target.safetensors")
    document = QUICK_SPEC | {"target": {"kind": "file", "path": "target.safetensors"}}
    spec = SearchSpec.model_validate(document)
    result = search_in_folder(spec, tmp_path / "search", settings.surroundings, lambda _: None)
    assert result.checkpoints["target"].renaming == ("stripped 'module.'",)
    output = tmp_path / "weights.safetensors"
    (tmp_path / "spec.json").write_text(json.dumps(document))
    monkeypatch.setenv("TRANSFERMASK_DATA_DIR", str(settings.data_dir))
    # The plan's one thread does not care for what else the environment would be.
    monkeypatch.setattr("service.settings.restart_to_compute", lambda: None)
    arguments = (str(tmp_path / "spec.json"), result.mask, "--output", str(output))
    assert run_here(monkeypatch, "apply", *arguments) == 0
    assert output.read_bytes() == (tmp_path / "search" / "grafted.safetensors").read_bytes()


def test_weights_that_would_not_load_are_never_delivered(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save_half(path: Path, state: State) -> None:
        save_state(path, dict(list(state.items())[:3]))

    monkeypatch.setattr("service.delivery.save_state", save_half)
    spec = SearchSpec.model_validate(QUICK_SPEC)
    with pytest.raises(TransferMaskError, match=r"grafted\.safetensors .* does not load back"):
        search_in_folder(spec, tmp_path, settings.surroundings, lambda _: None)
    assert not (tmp_path / "result.json").exists()


def test_apply_grafts_what_there_is_no_room_to_train(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cost, "available_bytes", lambda _: 30_000)
    save_file(network_state(), settings.inputs_dir / "source.safetensors")
    document = spec_with({"kind": "file", "path": "source.safetensors"})
    spec, output = SearchSpec.model_validate(document), settings.data_dir / "out.safetensors"
    write_grafted(spec, "100", output, settings.surroundings)
    assert load_file(output).keys() == network_state().keys()
    with pytest.raises(InvalidInputError, match="are free on this machine now"):
        search_in_folder(spec, settings.data_dir / "search", settings.surroundings, lambda _: None)


def test_apply_grafts_files_and_refuses_before_it_works(settings: Settings) -> None:
    source, target = network_state(), network_state()
    save_file(source, settings.inputs_dir / "source.safetensors")
    save_file(target, settings.inputs_dir / "target.safetensors")
    document = spec_with({"kind": "file", "path": "source.safetensors"})
    document |= {"target": {"kind": "file", "path": "target.safetensors"}}
    spec, output = SearchSpec.model_validate(document), settings.data_dir / "out.safetensors"
    write_grafted(spec, "100", output, settings.surroundings)
    grafted = load_file(output)
    for name, tensor in grafted.items():
        wanted = target if name.startswith("linear1") else source
        assert torch.equal(tensor, wanted[name])
    for mask, message in (("100", "or --force"), ("10", "2 bits"), ("1x0", "only the characters")):
        with pytest.raises(ValueError, match=message):
            write_grafted(spec, mask, output, settings.surroundings, overwrite=mask != "100")
    write_grafted(spec, "000", output, settings.surroundings, overwrite=True)
    assert torch.equal(load_file(output)["linear1.weight"], source["linear1.weight"])


def test_the_gene_table_over_http_reports_source_and_target(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Supervisor, "_step", lambda *_: None)
    state = network_state()
    save_file(state, settings.inputs_dir / "target.safetensors")
    wrapped = {f"backbone.{name}": tensor for name, tensor in state.items()}
    save_file(wrapped | {"step": torch.ones(1)}, settings.inputs_dir / "source.safetensors")
    spec = spec_with({"kind": "file", "path": "source.safetensors"})
    spec |= {"target": {"kind": "file", "path": "target.safetensors"}}
    with TestClient(create_app(settings)) as client:
        table = client.post("/v1/genes", json=spec).json()
        plain = client.post("/v1/genes", json=QUICK_SPEC).json()
    assert table["n_genes"] == 3
    source = table["checkpoints"]["source"]
    assert (source["n_matched"], source["renaming"], source["unexpected"]) == (
        6,
        ["stripped 'backbone.'"],
        ["step"],
    )
    assert table["checkpoints"]["target"]["n_unexpected"] == 0
    assert plain["checkpoints"] == {}
