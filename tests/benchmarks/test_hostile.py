"""What counts as a refusal, and whose memory is counted."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from benchmarks.hostile import data_cases, spec_cases, weight_cases
from benchmarks.hostile.case import Case
from benchmarks.hostile.judging import complaints
from benchmarks.hostile.memory import PeakWatch
from benchmarks.hostile.sending import Answer
from tests.service.waiting import wait_until

CASE = Case("a file", lambda _: Answer("422"), "source.path", "a pickle")
ERROR = {"field": "source.path", "given": "w: a pickle", "expected": "a safetensors file"}


def answer(how: str = "422", code: str = "invalid_input", **changes: Any) -> Answer:
    return Answer(how, {"code": code, "detail": "1 field is wrong", "errors": [ERROR | changes]})


def test_a_refusal_with_field_cause_and_expectation_is_as_it_must_be() -> None:
    assert complaints(CASE, answer()) == []
    assert complaints(CASE, answer("failed search", "unsuitable_data")) == []


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (Answer("202"), "not refused but 202"),
        (Answer("succeeded search"), "not refused but succeeded search"),
        (answer("500"), "not refused but 500"),
        (answer("failed search", "killed_by_signal"), "ended with code killed_by_signal"),
        (Answer("422", {"code": "invalid_input", "detail": "a pickle"}), "no field is named"),
        (answer(field=""), "without field or expectation"),
        (answer(expected=""), "without field or expectation"),
        (answer(field="dataset.path"), "field source.path is not named"),
        (answer(given="w: broken"), "'a pickle' is not said"),
    ],
)
def test_whatever_else_is_complained_about(given: Answer, complaint: str) -> None:
    assert any(complaint in said for said in complaints(CASE, given))


def test_every_input_has_a_name_of_its_own() -> None:
    cases = [*weight_cases.cases(), *data_cases.cases(), *spec_cases.cases()]
    assert len({case.name for case in cases}) == len(cases) >= 30


def test_memory_of_a_child_counts() -> None:
    code = "import sys; x = bytearray(100 << 20); print(len(x), flush=True); sys.stdin.read()"
    with PeakWatch(os.getpid()) as watch:
        child = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"104857600\n"
        wait_until(lambda: watch.risen_mib > 90)
        child.communicate()
    assert 90 < watch.risen_mib < 200
