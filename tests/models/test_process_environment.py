"""The environment of processes that compute."""

from __future__ import annotations

import subprocess
import sys

import pytest

from models.process_environment import KEPT_MEMORY, PATIENT_THREADS, computing_environment

NAMES = {*PATIENT_THREADS, *KEPT_MEMORY}


def test_what_is_inherited_stays() -> None:
    environment = computing_environment({"HOME": "/root"})
    assert environment["HOME"] == "/root"
    assert set(environment) == {"HOME", *NAMES}


@pytest.mark.parametrize("name", sorted(NAMES))
def test_what_an_operator_has_set_wins(name: str) -> None:
    before = {name: "theirs"}
    assert computing_environment(before)[name] == "theirs"
    assert before == {name: "theirs"}


def test_a_plans_threads_replace_what_was_set() -> None:
    environment = computing_environment({"OMP_NUM_THREADS": "7"}, threads=3)
    assert environment["OMP_NUM_THREADS"] == environment["MKL_NUM_THREADS"] == "3"
    assert "OMP_NUM_THREADS" not in computing_environment({})


def test_the_c_library_says_nothing_about_its_settings() -> None:
    # It would on standard error, where it knows a name but not the value.
    code = "import sys; print('torch' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", f"import models.process_environment; {code}"],
        env=computing_environment({"PYTHONPATH": ":".join(sys.path)}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert (run.stdout, run.stderr) == ("False\n", "")
