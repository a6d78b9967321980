"""The example of a network of one's own, as its reader runs it: from the command line and over HTTP."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors import safe_open
from typer.testing import CliRunner

from models.inputs import InputFolder
from models.surroundings import Surroundings
from search.errors import InvalidInputError
from search.ledger import InMemoryLedger
from service.cli import app
from service.composition import check_spec
from service.pipeline import run_search
from service.settings import Settings
from service.spec import SearchSpec

ROOT = Path(__file__).parent.parent
FACTORY = "examples.own_networks:build"
DOCUMENT = json.loads((ROOT / "examples" / "own_networks.json").read_text(encoding="utf-8"))


def test_the_example_decides_about_each_branch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    spec = SearchSpec.model_validate(DOCUMENT)
    allowed = Surroundings(InputFolder(tmp_path), factories=(FACTORY,))
    genes = [gene.name for gene in check_spec(spec, allowed).genes]
    assert genes == ["fine.0", "coarse.0", "mixed", "head"]
    with pytest.raises(InvalidInputError, match="TRANSFERMASK_ALLOWED_FACTORIES"):
        check_spec(spec, Surroundings.of(tmp_path))


def test_the_command_line_asks_the_operator_s_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setenv("TRANSFERMASK_ALLOWED_FACTORIES", FACTORY)
    shown = CliRunner().invoke(app, ["genes", str(ROOT / "examples" / "own_networks.json")])
    assert shown.exit_code == 0, shown.output
    assert "coarse.0" in shown.output
    monkeypatch.delenv("TRANSFERMASK_ALLOWED_FACTORIES")
    refused = CliRunner().invoke(app, ["genes", str(ROOT / "examples" / "own_networks.json")])
    assert isinstance(refused.exception, InvalidInputError)


def test_the_example_comes_to_a_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    short = DOCUMENT | {
        "optimizer": {"kind": "random"},
        "source": DOCUMENT["source"] | {"steps": 5},
        "finetune": {"kind": "full", "steps": 2},
        "budget": {"evaluations": 4},
        "race": {"leaders": 1, "replicates": 1, "full_length_replicates": 0},
        "final": {"steps": 3, "finalists": 1, "replicates": 2, "learning_rate_factors": [1.0]},
        "plan": {"layout": "stacked", "chunks": [1, 4], "threads": 1},
    }
    result = run_search(
        SearchSpec.model_validate(short),
        ledger=InMemoryLedger(),
        folder=tmp_path / "out",
        surroundings=Surroundings(InputFolder(tmp_path), factories=(FACTORY,)),
    )
    assert len(result.mask) == 4
    with safe_open(tmp_path / "out" / "weights.safetensors", "np") as weights:
        assert "coarse.1.running_mean" in set(weights.keys())
    assert not (tmp_path / "out" / "model").exists()


def test_a_service_s_children_may_call_what_the_service_may() -> None:
    settings = Settings(allowed_factories=FACTORY)
    assert settings.child_environment()["TRANSFERMASK_ALLOWED_FACTORIES"] == FACTORY
