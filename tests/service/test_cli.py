"""The command line."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from models.plans.plan import Plan
from search.errors import InvalidInputError
from service.cli import main
from service.output_folder import open_output_folder
from tests.service.server_process import QUICK_SPEC


def transfermask(
    *arguments: str, stdin: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "service.cli", *arguments],
        input=stdin,
        text=True,
        capture_output=True,
        check=False,
        env=os.environ | environment,
    )


def status_here(monkeypatch: pytest.MonkeyPatch, *arguments: str, stdin: str) -> object:
    """Run a command in this process, which has torch already; any exception but the exit fails the test."""
    monkeypatch.setattr(sys, "argv", ["transfermask", *arguments])
    monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
    # A command that computes would begin again in the place of this very process.
    monkeypatch.setattr("service.settings.restart_to_compute", lambda: None)
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code


def test_help_does_not_wait_for_torch() -> None:
    code = "import sys, service.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert "serve" in transfermask("--help").stdout


def test_genes_are_shown_from_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_here(monkeypatch, "genes", "-", stdin=json.dumps(QUICK_SPEC)) == 0
    assert "3 genes" in capsys.readouterr().out


def test_of_large_genes_some_tensors_are_shown_and_all_when_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    spec = json.dumps(QUICK_SPEC | {"genome": {"groups": {"all": ["*"]}, "granularity": "groups"}})
    assert status_here(monkeypatch, "genes", "-", stdin=spec) == 0
    assert re.search(r"linear1\.weight, .* and 2 more", capsys.readouterr().out)
    assert status_here(monkeypatch, "genes", "--every-tensor", "-", stdin=spec) == 0
    shown = capsys.readouterr().out
    assert "linear3.bias" in shown
    assert "more" not in shown


def test_bench_times_plans_and_shows_one_to_pin(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    assert status_here(monkeypatch, "bench", "-", stdin=json.dumps(QUICK_SPEC)) == 0
    shown = capsys.readouterr().out
    assert "loop, " in shown
    assert "stacked x " in shown
    pinned = shown.rpartition('"plan": ')[2]
    assert Plan.model_validate_json(pinned).label in shown
    spec = json.dumps(QUICK_SPEC | {"plan": json.loads(pinned)})
    assert status_here(monkeypatch, "genes", "-", stdin=spec) == 0


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{", "a readable JSON file"),
        ("[]", "a JSON object"),
        (json.dumps(QUICK_SPEC | {"optimizer": {"kind": "rondom"}}), "did you mean 'random'?"),
        (json.dumps(QUICK_SPEC | {"sede": 1}), "did you mean 'seed'?"),
    ],
)
def test_a_bad_spec_is_explained_without_a_traceback(
    spec: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_here(monkeypatch, "genes", "-", stdin=spec) == 2
    assert message in capsys.readouterr().err


def test_a_missing_service_is_explained() -> None:
    refused = transfermask("submit", "-", "--server", "http://127.0.0.1:1", stdin="{}")
    assert refused.returncode == 1
    assert "`transfermask serve` starts one" in refused.stderr


def test_settings_that_cannot_be_are_explained_by_their_names() -> None:
    refused = transfermask("serve", TRANSFERMASK_PORT="99999")
    assert refused.returncode == 2
    assert "TRANSFERMASK_PORT" in refused.stderr
    assert "Traceback" not in refused.stderr
    opened = transfermask("serve", TRANSFERMASK_HOST="0.0.0.0")
    assert "TRANSFERMASK_ALLOW_INSECURE_HOST=true" in opened.stderr


def test_a_search_runs_without_a_service_and_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "output"
    arguments = ("search", "-", "--output", str(output))
    first = transfermask(*arguments, stdin=json.dumps(QUICK_SPEC))
    assert first.returncode == 0, first.stderr
    assert "Verdict" in first.stdout
    result = json.loads((output / "result.json").read_text(encoding="utf-8"))
    ledger = (output / "ledger.jsonl").read_bytes()
    assert status_here(monkeypatch, *arguments, stdin=json.dumps(QUICK_SPEC)) == 0
    assert (output / "ledger.jsonl").read_bytes() == ledger
    assert (
        json.loads((output / "result.json").read_text(encoding="utf-8"))["mask"] == result["mask"]
    )
    assert status_here(monkeypatch, *arguments, stdin=json.dumps(QUICK_SPEC | {"seed": 1})) == 2
    assert "that of this very spec" in capsys.readouterr().err


def test_two_searches_never_share_a_folder(tmp_path: Path) -> None:
    with (
        open_output_folder(tmp_path, {"seed": 0}),
        pytest.raises(InvalidInputError, match="no other running search"),
        open_output_folder(tmp_path, {"seed": 0}),
    ):
        pass
